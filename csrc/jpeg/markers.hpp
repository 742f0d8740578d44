// Marker codes: T.81 B.1.1.3, Table B.1.
#pragma once

#include <cstdint>

namespace pycodec_lm::jpeg::marker {

inline constexpr uint8_t kPrefix = 0xFF;

inline constexpr uint8_t kSof0 = 0xC0;  // baseline sequential DCT, Huffman coding
inline constexpr uint8_t kSof1 = 0xC1;  // extended sequential DCT, Huffman coding
inline constexpr uint8_t kSof2 = 0xC2;  // progressive DCT, Huffman coding
inline constexpr uint8_t kDht = 0xC4;
inline constexpr uint8_t kJpg = 0xC8;
inline constexpr uint8_t kDac = 0xCC;
inline constexpr uint8_t kRst0 = 0xD0;
inline constexpr uint8_t kRst7 = 0xD7;
inline constexpr uint8_t kSoi = 0xD8;
inline constexpr uint8_t kEoi = 0xD9;
inline constexpr uint8_t kSos = 0xDA;
inline constexpr uint8_t kDqt = 0xDB;
inline constexpr uint8_t kDnl = 0xDC;
inline constexpr uint8_t kDri = 0xDD;
inline constexpr uint8_t kDhp = 0xDE;
inline constexpr uint8_t kExp = 0xDF;
inline constexpr uint8_t kApp0 = 0xE0;
inline constexpr uint8_t kApp15 = 0xEF;
inline constexpr uint8_t kJpg0 = 0xF0;
inline constexpr uint8_t kJpegLsSof = 0xF7;  // SOF55 of T.87
inline constexpr uint8_t kJpg13 = 0xFD;
inline constexpr uint8_t kCom = 0xFE;

constexpr bool is_start_of_frame(uint8_t code) {
    return code >= 0xC0 && code <= 0xCF && code != kDht && code != kJpg && code != kDac;
}

constexpr bool is_arithmetic_frame(uint8_t code) { return is_start_of_frame(code) && code >= 0xC9; }

constexpr bool is_restart(uint8_t code) { return code >= kRst0 && code <= kRst7; }

constexpr bool is_application(uint8_t code) { return code >= kApp0 && code <= kApp15; }

}  // namespace pycodec_lm::jpeg::marker
