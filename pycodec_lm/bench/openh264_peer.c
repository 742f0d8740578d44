/* What openh264 says about files, its concealment of errors switched off.
 *
 *   openh264_peer           file names on standard input, one a line; for each file a line on standard
 *                           output: the union of all DECODING_STATE bits (hexadecimal), pictures,
 *                           and a hash of what is in them, in the order they come out (hexadecimal).
 *   openh264_peer version   its version.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wels/codec_api.h>
#include <wels/codec_ver.h>

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

/* H.264 B.1: the next 00 00 01 at `from` or behind it; n_bytes where there is none. */
static size_t find_start_code(const unsigned char* data, size_t n_bytes, size_t from) {
    for (size_t i = from; i + 3 <= n_bytes; ++i) {
        if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1) return i;
    }
    return n_bytes;
}

static ISVCDecoder* open_decoder(void) {
    ISVCDecoder* decoder = NULL;
    if (WelsCreateDecoder(&decoder) != 0) return NULL;
    int level = WELS_LOG_QUIET;
    (*decoder)->SetOption(decoder, DECODER_OPTION_TRACE_LEVEL, &level);
    SDecodingParam parameters;
    memset(&parameters, 0, sizeof parameters);
    parameters.eEcActiveIdc = ERROR_CON_DISABLE;
    parameters.sVideoProperty.eVideoBsType = VIDEO_BITSTREAM_AVC;
    if ((*decoder)->Initialize(decoder, &parameters) != 0) return NULL;
    return decoder;
}

/* FNV-1a, 64 bits. */
static const uint64_t kEmptyHash = 0xcbf29ce484222325u;

static uint64_t hash_rows(
    uint64_t hash, const unsigned char* rows, int stride, int width, int height) {
    for (int row = 0; row < height; ++row) {
        for (int i = 0; i < width; ++i)
            hash = (hash ^ rows[(ptrdiff_t)row * stride + i]) * 0x100000001b3u;
    }
    return hash;
}

static uint64_t hash_picture(uint64_t hash, unsigned char* const planes[3], const SSysMEMBuffer* at) {
    hash = hash_rows(hash, planes[0], at->iStride[0], at->iWidth, at->iHeight);
    for (int i = 1; i < 3; ++i)
        hash = hash_rows(hash, planes[i], at->iStride[1], at->iWidth / 2, at->iHeight / 2);
    return hash;
}

/* One NAL unit, or with no data what is still held back. */
static int decode(
    ISVCDecoder* decoder, const unsigned char* nal_unit, size_t n_bytes, int* errors,
    uint64_t* hash) {
    unsigned char* planes[3] = {NULL, NULL, NULL};
    SBufferInfo info;
    memset(&info, 0, sizeof info);
    *errors |= nal_unit != NULL ? (int)(*decoder)->DecodeFrameNoDelay(
                                      decoder, nal_unit, (int)n_bytes, planes, &info)
                                : (int)(*decoder)->FlushFrame(decoder, planes, &info);
    if (info.iBufferStatus != 1) return 0;
    *hash = hash_picture(*hash, planes, &info.UsrData.sSystemBuffer);
    return 1;
}

static int read_stream(const char* name) {
    size_t n_bytes = 0;
    unsigned char* data = read_file(name, &n_bytes);
    ISVCDecoder* decoder = open_decoder();
    if (data == NULL || decoder == NULL) return 1;
    int errors = 0;
    int n_pictures = 0;
    uint64_t hash = kEmptyHash;
    size_t start = find_start_code(data, n_bytes, 0);
    while (start < n_bytes) {
        const size_t end = find_start_code(data, n_bytes, start + 3);
        n_pictures += decode(decoder, data + start, end - start, &errors, &hash);
        start = end;
    }
    int is_end = 1;
    (*decoder)->SetOption(decoder, DECODER_OPTION_END_OF_STREAM, &is_end);
    while (decode(decoder, NULL, 0, &errors, &hash)) ++n_pictures;
    printf("%x %d %016" PRIx64 "\n", (unsigned)errors, n_pictures, hash);
    fflush(stdout);
    (*decoder)->Uninitialize(decoder);
    WelsDestroyDecoder(decoder);
    free(data);
    return 0;
}

int main(int argc, char** argv) {
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        const OpenH264Version version = WelsGetCodecVersion();
        printf("%u.%u.%u\n", version.uMajor, version.uMinor, version.uRevision);
        return 0;
    }
    if (argc != 1) {
        fprintf(stderr, "usage: openh264_peer [version]\n");
        return 2;
    }
    char name[4096];
    while (fgets(name, sizeof name, stdin) != NULL) {
        name[strcspn(name, "\n")] = 0;
        if (read_stream(name) != 0) return 1;
    }
    return 0;
}
