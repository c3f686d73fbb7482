#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace ptyfuse::io {

/// A JSON text out of a file. FileError naming `path`: not JSON, or nested more than 64 deep, which nothing of ours is:
/// what writes or prints a text goes down into it by recursion.
nlohmann::ordered_json parse_json(const std::string& path, const std::string& text);

/// The same of a whole file; FileError as read_whole() too.
nlohmann::ordered_json read_json(const std::string& path);

}  // namespace ptyfuse::io
