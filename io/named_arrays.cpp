#include "io/named_arrays.h"

#include "io/atomic_file.h"
#include "io/hdf5.h"

namespace ptyfuse::io {

void write_named_arrays(const std::string& path, const std::string& config, std::span<const NamedArray> arrays,
                        bool force) {
  AtomicFile output(path, force);
  h5::File file = h5::File::create(output.temporary_path(), path);
  file.set_text("format", "ptyfuse-benchmark");
  file.set_text("config", config);
  for (const NamedArray& array : arrays)
    std::visit(
        [&]<class T>(const std::vector<T>& data) { file.write<T>(array.name, array.shape, std::span<const T>(data)); },
        array.data);
  file.close();
  output.commit();
}

std::string named_arrays_config(const std::string& path) {
  const h5::File file = h5::File::open(path);
  const std::optional<std::string> config = file.text("config");
  if (!config) throw FileError(path, "attribute 'config' is missing: it is no record of 'ptyfuse bench --record'");
  return *config;
}

}  // namespace ptyfuse::io
