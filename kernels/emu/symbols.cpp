#include "kernels/emu/symbols.h"

#include <link.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <memory>

namespace ptyfuse::emu {
namespace {

struct Module {
  std::string file;
  uintptr_t bias = 0;
};

Module module_of(uintptr_t address) {
  struct Search {
    uintptr_t address;
    Module found;
  } search{address, {}};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        auto& s = *static_cast<Search*>(data);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& h = info->dlpi_phdr[i];
          if (h.p_type != PT_LOAD || s.address - (info->dlpi_addr + h.p_vaddr) >= h.p_memsz) continue;
          const std::string name = info->dlpi_name;
          s.found = {name.empty() ? std::string("/proc/") + std::to_string(getpid()) + "/exe" : name, info->dlpi_addr};
          return 1;
        }
        return 0;
      },
      &search);
  return search.found;
}

std::string hexadecimal(uintptr_t value) {
  std::array<char, 16> digits;
  char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  return std::string("0x").append(digits.data(), end);
}

// The path from the source tree's top folders on, whatever the machine that built it.
std::string short_place(std::string place) {
  for (const char* top : {"/kernels/", "/tests/"}) {
    const size_t at = place.rfind(top);
    if (at != std::string::npos) return place.substr(at + 1);
  }
  return place;
}

// Code that a kernel calls: of no interest where the kernel's own line is known.
bool is_plumbing(const std::string& place) {
  for (const char* room : {"kernels/emu/", "kernels/device/", "/usr/"})
    if (place.rfind(room, 0) == 0) return true;
  return false;
}

bool read_line(FILE* file, std::string& line) {
  line.clear();
  for (int c = 0; (c = std::fgetc(file)) != '\n';) {
    if (c == EOF) return false;
    line += static_cast<char>(c);
  }
  return true;
}

}  // namespace

std::string short_function_name(const std::string& demangled) {
  // The parameter list's parenthesis is the last one that opens outside of <>, "(anonymous namespace)" apart.
  size_t end = demangled.size(), begin = 0;
  int depth = 0;
  for (size_t i = 0; i < demangled.size(); ++i) {
    const char c = demangled[i];
    if (c == '<') ++depth;
    if (c == '>') --depth;
    if (depth != 0) continue;
    if (demangled.compare(i, 21, "(anonymous namespace)") == 0) {
      i += 20;
      continue;
    }
    if (c == '(') {
      end = i;
      break;
    }
    if (c == ' ' || c == ':') begin = i + 1;
  }
  return demangled.substr(begin, end - begin);
}

void Symbols::look_up(const std::vector<uintptr_t>& addresses) {
  std::map<std::string, std::vector<uintptr_t>> by_file;
  for (const uintptr_t address : addresses) {
    if (known_.count(address) != 0) continue;
    known_[address].function = known_[address].place = hexadecimal(address);
    const Module module = module_of(address);
    if (!module.file.empty()) by_file[module.file].push_back(address);
  }
  for (const auto& [file, list] : by_file) {
    std::string command = std::string("addr2line -a -i -C -f -e '") + file + "'";
    for (const uintptr_t address : list) (command += ' ') += hexadecimal(address - module_of(address).bias);
    const auto close = [](FILE* f) { pclose(f); };
    const std::unique_ptr<FILE, decltype(close)> out(popen((command + " 2>/dev/null").c_str(), "r"), close);
    if (!out) continue;
    // For each address its own line, then a function and a place for each level of inlining, innermost first.
    auto next = list.begin();
    Symbol* symbol = nullptr;
    bool in_kernel = false;
    for (std::string line; read_line(out.get(), line);) {
      if (line.rfind("0x", 0) == 0) {
        if (next == list.end()) break;
        symbol = &known_[*next++];
        in_kernel = false;
        continue;
      }
      std::string place;
      if (symbol == nullptr || !read_line(out.get(), place)) break;
      if (in_kernel) continue;
      if (line != "??") symbol->function = short_function_name(line);
      if (place.rfind("??", 0) != 0) symbol->place = short_place(place.substr(0, place.find(" (discriminator")));
      in_kernel = !is_plumbing(symbol->place);
    }
  }
}

}  // namespace ptyfuse::emu
