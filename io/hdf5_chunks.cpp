#include "io/hdf5_chunks.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "io/hdf5_types.h"

namespace ptyfuse::io::h5 {

namespace {

// Several bands are under way at once: larger ones would take memory that --host-memory does not count.
constexpr int64_t most_band_bytes = 16 << 20;
// No filter here makes a chunk that much larger: a size beyond it was made up.
constexpr size_t most_growth = 2, most_extra_bytes = 64;

/// nullopt: a filter's description cannot be read.
std::optional<std::vector<ChunkFilter>> filters_of(hid_t creation) {
  std::vector<ChunkFilter> filters(static_cast<size_t>(std::max(0, H5Pget_nfilters(creation))));
  for (size_t f = 0; f < filters.size(); ++f) {
    unsigned flags = 0, config = 0;
    std::vector<unsigned> values(64);
    size_t count = values.size();
    filters[f].id =
        H5Pget_filter2(creation, static_cast<unsigned>(f), &flags, &count, values.data(), 0, nullptr, &config);
    if (filters[f].id < 0) return std::nullopt;
    values.resize(std::min(count, values.size()));
    filters[f].values = std::move(values);
  }
  return filters;
}

}  // namespace

template <class T>
std::optional<ChunkReader> ChunkReader::of(const Dataset& dataset) {
  Lock lock;
  const Handle created(H5Dget_create_plist(dataset.handle_.get()), H5Pclose);
  const Handle type(H5Dget_type(dataset.handle_.get()), H5Tclose);
  unsigned options = 0;
  if (dataset.rank() != 3 || dataset.elements() == 0 || H5Pget_layout(created.get()) != H5D_CHUNKED ||
      H5Tequal(type.get(), native_number<T>()) <= 0 || H5Pget_chunk_opts(created.get(), &options) < 0 || options != 0)
    return std::nullopt;
  hsize_t extent[3] = {};
  if (H5Pget_chunk(created.get(), 3, extent) != 3) return std::nullopt;
  const std::vector<int64_t> chunk(extent, extent + 3);
  const std::vector<int64_t>& shape = dataset.shape();
  int64_t chunk_bytes = static_cast<int64_t>(sizeof(T));
  for (const int64_t e : chunk)
    if (e < 1 || __builtin_mul_overflow(chunk_bytes, e, &chunk_bytes) || chunk_bytes > most_band_bytes)
      return std::nullopt;
  std::optional<std::vector<ChunkFilter>> filters = filters_of(created.get());
  if (!filters || !ChunkDecoder::knows(*filters)) return std::nullopt;
  int64_t across = 0;
  if (__builtin_mul_overflow((shape[1] - 1) / chunk[1] + 1, (shape[2] - 1) / chunk[2] + 1, &across) ||
      across > most_band_bytes)
    return std::nullopt;
  ChunkReader reader(dataset, chunk, std::move(*filters), static_cast<int64_t>(sizeof(T)), native_number<T>);
  if (reader.held_bytes() > static_cast<size_t>(most_band_bytes)) return std::nullopt;
  return reader;
}

ChunkReader::ChunkReader(const Dataset& dataset, std::vector<int64_t> chunk, std::vector<ChunkFilter> filters,
                         int64_t element_bytes, hid_t (*type)())
    : dataset_(&dataset),
      chunk_(std::move(chunk)),
      element_bytes_(element_bytes),
      type_(type),
      chunk_bytes_(static_cast<size_t>(chunk_[0] * chunk_[1] * chunk_[2] * element_bytes)),
      filtered_(!filters.empty()),
      decoder_(std::move(filters), chunk_bytes_) {
  const Handle file(H5Iget_file_id(dataset.handle_.get()), H5Fclose);
  hsize_t bytes = 0;
  H5Fget_filesize(file.get(), &bytes);
  file_bytes_ = static_cast<int64_t>(bytes);
}

int64_t ChunkReader::chunks_along(size_t axis) const {
  return (dataset_->shape()[axis] - 1) / chunk_[axis] + 1;
}

size_t ChunkReader::held_bytes() const {
  return static_cast<size_t>(chunks_along(1) * chunks_along(2)) *
         (chunk_bytes_ + most_extra_bytes + sizeof(StoredBands::Chunk));
}

size_t ChunkReader::band_bytes() const {
  return static_cast<size_t>(chunk_[0] * dataset_->shape()[1] * dataset_->shape()[2] * element_bytes_);
}

void ChunkReader::fail(int64_t band, const std::string& why) const {
  const int64_t first = band * chunk_[0], last = std::min(dataset_->shape()[0], first + chunk_[0]) - 1;
  throw FileError(dataset_->path(), dataset_->name(),
                  "cannot be read (rows " + std::to_string(first) + " to " + std::to_string(last) +
                      "); the file is truncated or damaged, or was changed while in use: " + why);
}

std::string ChunkReader::read_by_library(const hsize_t at[3], std::byte* out) const {
  const std::vector<int64_t>& shape = dataset_->shape();
  hsize_t room[3], part[3];
  const hsize_t begin[3] = {};
  for (size_t a = 0; a < 3; ++a) {
    room[a] = static_cast<hsize_t>(chunk_[a]);
    part[a] = std::min(room[a], static_cast<hsize_t>(shape[a]) - at[a]);
  }
  const Handle in_file(H5Dget_space(dataset_->handle_.get()), H5Sclose);
  const Handle in_memory(H5Screate_simple(3, room, nullptr), H5Sclose);
  const bool read = H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, at, nullptr, part, nullptr) >= 0 &&
                    H5Sselect_hyperslab(in_memory.get(), H5S_SELECT_SET, begin, nullptr, part, nullptr) >= 0 &&
                    H5Dread(dataset_->handle_.get(), type_(), in_memory.get(), in_file.get(), H5P_DEFAULT, out) >= 0;
  return read ? "" : library_message();  // now: closing the handles makes the library forget it
}

void ChunkReader::fetch(std::span<const int64_t> bands, StoredBands& into) const {
  Lock lock;
  const hid_t id = dataset_->handle_.get();
  into.bands.assign(bands.begin(), bands.end());
  into.chunks.clear();
  into.used = 0;
  into.stored.reserve(bands.size() * held_bytes());  // for growing by doubling would take more
  for (const int64_t band : bands)
    for (int64_t y = 0; y < chunks_along(1); ++y)
      for (int64_t x = 0; x < chunks_along(2); ++x) {
        const hsize_t at[3] = {static_cast<hsize_t>(band * chunk_[0]), static_cast<hsize_t>(y * chunk_[1]),
                               static_cast<hsize_t>(x * chunk_[2])};
        const auto room = [&](size_t bytes) {
          if (into.stored.size() < into.used + bytes) into.stored.resize(into.used + bytes);
          return into.stored.data() + into.used;
        };
        StoredBands::Chunk chunk{.begin = into.used};
        hsize_t stored = 0;
        // H5Dread_chunk() writes as many bytes as the file's index says. Of a chunk with filters the size asked for is
        // that one, of another the chunk's own, and the two may differ in a damaged file.
        bool taken = filtered_ && H5Dget_chunk_storage_size(id, at, &stored) >= 0 && stored > 0;
        if (taken &&
            (stored > most_growth * chunk_bytes_ + most_extra_bytes || stored > static_cast<hsize_t>(file_bytes_)))
          fail(band, "a chunk of " + std::to_string(chunk_bytes_) + " bytes is said to take " + std::to_string(stored));
        taken = taken && H5Dread_chunk(id, H5P_DEFAULT, at, &chunk.mask, room(stored)) >= 0;
        if (!taken) {
          stored = chunk_bytes_;
          chunk.mask = ~uint32_t{0};
          if (const std::string why = read_by_library(at, room(stored)); !why.empty()) fail(band, why);
        }
        chunk.bytes = static_cast<size_t>(stored);
        into.used += chunk.bytes;
        into.chunks.push_back(chunk);
      }
  if (was_cut(id)) fail(bands.front(), "the file has become shorter");
}

void ChunkReader::decode(StoredBands& from, std::byte* out) const {
  const std::vector<int64_t>& shape = dataset_->shape();
  const bool whole_frames = chunk_[1] == shape[1] && chunk_[2] == shape[2];
  if (!whole_frames) from.chunk.resize(chunk_bytes_);
  auto next = from.chunks.begin();
  for (size_t k = 0; k < from.bands.size(); ++k) {
    std::byte* band = out + k * band_bytes();
    for (int64_t y = 0; y < shape[1]; y += chunk_[1])
      for (int64_t x = 0; x < shape[2]; x += chunk_[2]) {
        const StoredBands::Chunk chunk = *next++;
        std::byte* to = whole_frames ? band : from.chunk.data();
        const std::string wrong = decoder_.decode({from.stored.data() + chunk.begin, chunk.bytes}, chunk.mask,
                                                  {to, chunk_bytes_}, from.scratch);
        if (!wrong.empty()) fail(from.bands[k], wrong);
        if (whole_frames) continue;
        const int64_t rows = std::min(chunk_[1], shape[1] - y), columns = std::min(chunk_[2], shape[2] - x);
        for (int64_t s = 0; s < chunk_[0]; ++s)
          for (int64_t r = 0; r < rows; ++r)
            std::memcpy(band + ((s * shape[1] + y + r) * shape[2] + x) * element_bytes_,
                        to + (s * chunk_[1] + r) * chunk_[2] * element_bytes_,
                        static_cast<size_t>(columns * element_bytes_));
      }
  }
}

#define PTYFUSE_INSTANTIATE(T) template std::optional<ChunkReader> ChunkReader::of<T>(const Dataset&);
PTYFUSE_INSTANTIATE(uint8_t)
PTYFUSE_INSTANTIATE(int8_t)
PTYFUSE_INSTANTIATE(uint16_t)
PTYFUSE_INSTANTIATE(int16_t)
PTYFUSE_INSTANTIATE(uint32_t)
PTYFUSE_INSTANTIATE(int32_t)
PTYFUSE_INSTANTIATE(uint64_t)
PTYFUSE_INSTANTIATE(int64_t)
PTYFUSE_INSTANTIATE(float)
PTYFUSE_INSTANTIATE(double)
#undef PTYFUSE_INSTANTIATE

}  // namespace ptyfuse::io::h5
