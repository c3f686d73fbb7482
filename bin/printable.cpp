#include "bin/printable.h"

#include <fmt/format.h>

namespace ptyfuse::cli {

std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // UTF-8 of U+0080 to U+009F, which terminals obey as well
    const bool second = c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if ((c >= 0x20 && c != 0x7f && !second) || c == '\n' || c == '\t') {
      out += text[i];
      continue;
    }
    out += fmt::format("\\x{:02x}", second ? static_cast<unsigned char>(text[++i]) : c);
  }
  return out;
}

}  // namespace ptyfuse::cli
