#pragma once
#include <stdexcept>
#include <string>

namespace ptyfuse {

/// What kind of fault an Error reports; the command line maps every kind but `cancelled` to exit code 1.
enum class ErrorKind {
  shape,      ///< shapes, ranges or settings that do not fit together
  numeric,    ///< a value that is not finite where it must be
  memory,     ///< host or device memory is not to be had
  device,     ///< a device is missing, too old or unusable
  cancelled,  ///< the caller asked to stop; state was saved
};

/// The library's exception: one message that says what was wrong, what was expected and how to mend it.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// Throws Error(shape): "operation: message". Every operation reports unfit arguments through this.
[[noreturn]] inline void throw_shape_error(const char* operation, const std::string& message) {
  throw Error(ErrorKind::shape, std::string(operation) + ": " + message);
}

}  // namespace ptyfuse
