// The list of what the extension module holds; each bind_*.cpp says what it is.
#include <pybind11/pybind11.h>

#include "bindings/bindings.hpp"

PYBIND11_MODULE(_core, m) {
    m.doc() = "The C++ core of pycodec_lm: JPEG and H.264 grammars, masks and matchers.";
    pycodec_lm::bind_status(m);
    pycodec_lm::bind_jpeg(m);
    pycodec_lm::bind_h264(m);
    pycodec_lm::bind_avc_writer(m);
    pycodec_lm::bind_avc_recode(m);
    pycodec_lm::bind_trace(m);
    pycodec_lm::bind_avc_trace(m);
    pycodec_lm::bind_grammar(m);
}
