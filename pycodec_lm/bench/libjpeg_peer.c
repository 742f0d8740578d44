/* What libjpeg reads in files: their coefficients, or how long it takes to read them.
 *
 *   libjpeg_peer coefficients          file names on standard input, one a line; for each file, on
 *                                      standard output: int32 warnings, int32 n (-1: an error), then
 *                                      n planes: int32 blocks_high, blocks_wide, int16 values in
 *                                      zig-zag order. Messages go to standard error.
 *   libjpeg_peer time REPEATS FILE...  CPU microseconds per file of each repeat, one a line, entropy
 *                                      decoding only.
 */
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jpeglib.h>

/* T.81 Figure A.6: the place of the k-th coefficient in rows of eight. */
static const unsigned char kZigZag[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

static jmp_buf failed;

static void fail(j_common_ptr info) {
    info->err->output_message(info);
    longjmp(failed, 1);
}

static void count_warnings(j_common_ptr info, int level) {
    if (level >= 0) return;
    ++info->err->num_warnings;
    info->err->output_message(info);
}

static void put(int32_t value) { fwrite(&value, sizeof value, 1, stdout); }

static unsigned char* read_file(const char* name, size_t* n_bytes) {
    FILE* file = fopen(name, "rb");
    if (file == NULL) return NULL;
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    rewind(file);
    unsigned char* data = malloc(size > 0 ? (size_t)size : 1);
    *n_bytes = data == NULL ? 0 : fread(data, 1, (size_t)size, file);
    fclose(file);
    return data;
}

static JDIMENSION padded(JDIMENSION n_blocks, int factor) {
    return (n_blocks + (JDIMENSION)factor - 1) / (JDIMENSION)factor * (JDIMENSION)factor;
}

static void put_planes(struct jpeg_decompress_struct* info, jvirt_barray_ptr* planes) {
    put((int32_t)info->err->num_warnings);
    put(info->num_components);
    for (int c = 0; c < info->num_components; ++c) {
        const jpeg_component_info* component = &info->comp_info[c];
        const JDIMENSION high = padded(component->height_in_blocks, component->v_samp_factor);
        const JDIMENSION wide = padded(component->width_in_blocks, component->h_samp_factor);
        put((int32_t)high);
        put((int32_t)wide);
        for (JDIMENSION y = 0; y < high; ++y) {
            JBLOCKARRAY row =
                info->mem->access_virt_barray((j_common_ptr)info, planes[c], y, 1, FALSE);
            for (JDIMENSION x = 0; x < wide; ++x) {
                int16_t block[64];
                for (int k = 0; k < 64; ++k) block[k] = row[0][x][kZigZag[k]];
                fwrite(block, sizeof block, 1, stdout);
            }
        }
    }
}

static int coefficients(void) {
    char name[4096];
    while (fgets(name, sizeof name, stdin) != NULL) {
        name[strcspn(name, "\n")] = 0;
        size_t n_bytes = 0;
        unsigned char* data = read_file(name, &n_bytes);
        if (data == NULL) return 1;
        struct jpeg_decompress_struct info;
        struct jpeg_error_mgr errors;
        info.err = jpeg_std_error(&errors);
        errors.error_exit = fail;
        errors.emit_message = count_warnings;
        jpeg_create_decompress(&info);
        if (setjmp(failed) != 0) {
            put((int32_t)errors.num_warnings);
            put(-1);
        } else {
            jpeg_mem_src(&info, data, (unsigned long)n_bytes);
            jpeg_read_header(&info, TRUE);
            jvirt_barray_ptr* planes = jpeg_read_coefficients(&info);
            put_planes(&info, planes);
        }
        jpeg_destroy_decompress(&info);
        free(data);
        fflush(stdout);
    }
    return 0;
}

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int time_files(int n_repeats, int n_files, char** names) {
    unsigned char** data = malloc((size_t)n_files * sizeof *data);
    size_t* sizes = malloc((size_t)n_files * sizeof *sizes);
    if (data == NULL || sizes == NULL) return 1;
    for (int i = 0; i < n_files; ++i) {
        data[i] = read_file(names[i], &sizes[i]);
        if (data[i] == NULL) return 1;
    }
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    info.err = jpeg_std_error(&errors);
    errors.emit_message = count_warnings;
    jpeg_create_decompress(&info);
    for (int repeat = 0; repeat < n_repeats; ++repeat) {
        const double start = cpu_seconds();
        for (int i = 0; i < n_files; ++i) {
            jpeg_mem_src(&info, data[i], (unsigned long)sizes[i]);
            jpeg_read_header(&info, TRUE);
            jpeg_read_coefficients(&info);
            jpeg_finish_decompress(&info);
            if (errors.num_warnings != 0) return 1;
        }
        printf("%.3f\n", 1e6 * (cpu_seconds() - start) / n_files);
    }
    return 0;
}

int main(int argc, char** argv) {
    if (argc == 2 && strcmp(argv[1], "coefficients") == 0) return coefficients();
    if (argc > 3 && strcmp(argv[1], "time") == 0) {
        return time_files(atoi(argv[2]), argc - 3, argv + 3);
    }
    fprintf(stderr, "usage: libjpeg_peer coefficients | libjpeg_peer time REPEATS FILE...\n");
    return 2;
}
