#include "engine/scan_set.h"

#include <algorithm>
#include <map>
#include <string>

#include "kernels/device/error.h"

namespace ptyfuse {
namespace {

int32_t image_count(const io::ScanInfo& info) {
  int32_t count = static_cast<int32_t>(std::max<int64_t>(1, info.object.depth));
  for (const int32_t i : info.object_index) count = std::max(count, i + 1);
  return count;
}

class ScanSet : public io::ScanReader {
 public:
  explicit ScanSet(std::vector<std::unique_ptr<io::ScanReader>> scans) : scans_(std::move(scans)) {
    const io::ScanInfo& first = scans_.front()->info();
    info_ = first;
    info_.object_index.clear();
    info_.positions_px.clear();
    info_.groups.clear();
    info_.frames = 0;
    info_.path.clear();
    bool same_objects = true, all_grouped = true;
    for (const auto& scan : scans_) {
      const io::ScanInfo& s = scan->info();
      same_objects = same_objects && !s.object.empty() && s.object.height == first.object.height &&
                     s.object.width == first.object.width;
      all_grouped = all_grouped && !s.groups.empty() && s.group_members == first.group_members;
    }
    info_.object = {};
    int32_t images = 0;
    for (const auto& scan : scans_) {
      const io::ScanInfo& s = scan->info();
      if (s.side_px != first.side_px)
        throw Error(ErrorKind::shape, s.path + ": patterns of " + std::to_string(s.side_px) + " pixels, but " +
                                          first.path + " has " + std::to_string(first.side_px) +
                                          "; scans of one run must agree");
      if (s.domain != first.domain)
        throw Error(ErrorKind::shape, s.path + " and " + first.path +
                                          ": one holds counts, the other amplitudes, and one scale cannot serve both; "
                                          "bring them to the same with `ptyfuse convert`");
      take_mask(s.mask);
      for (int64_t f = 0; f < s.frames; ++f)
        info_.object_index.push_back(images + (s.object_index.empty() ? 0 : s.object_index[static_cast<size_t>(f)]));
      info_.positions_px.insert(info_.positions_px.end(), s.positions_px.begin(), s.positions_px.end());
      if (same_objects) {
        info_.object.height = s.object.height;
        info_.object.width = s.object.width;
        info_.object.depth += s.object.depth;
        info_.object.data.insert(info_.object.data.end(), s.object.data.begin(), s.object.data.end());
      }
      if (all_grouped)
        for (const int64_t i : s.groups) info_.groups.push_back(info_.frames + i);
      images += image_count(s);
      info_.path += (info_.path.empty() ? "" : ", ") + s.path;
      first_frame_.push_back(info_.frames);
      info_.frames += s.frames;
    }
    if (!all_grouped) info_.group_members = 0;
  }

  const io::ScanInfo& info() const override { return info_; }

  void read_frames(std::span<const int64_t> frames, std::span<float> out) override {
    const auto pixels = static_cast<size_t>(info_.side_px * info_.side_px);
    std::vector<int64_t> inside;
    for (size_t begin = 0; begin < frames.size(); begin += inside.size()) {
      const size_t which = scan_of(frames[begin]);
      inside.clear();
      for (size_t i = begin; i < frames.size() && scan_of(frames[i]) == which; ++i)
        inside.push_back(frames[i] - first_frame_[which]);
      scans_[which]->read_frames(inside, out.subspan(begin * pixels, inside.size() * pixels));
    }
  }

  void read_amplitude(int64_t first, int64_t count, std::span<float> out) override {
    const int64_t pixels = info_.side_px * info_.side_px;
    int64_t done = 0;
    while (done < count) {
      const int64_t frame = first + done;
      const size_t which = scan_of(frame);
      const int64_t inside = frame - first_frame_[which];
      const int64_t n = std::min(count - done, scans_[which]->info().frames - inside);
      scans_[which]->read_amplitude(inside, n,
                                    out.subspan(static_cast<size_t>(done * pixels), static_cast<size_t>(n * pixels)));
      done += n;
    }
  }

 private:
  size_t scan_of(int64_t frame) const {
    return static_cast<size_t>(std::upper_bound(first_frame_.begin(), first_frame_.end(), frame) -
                               first_frame_.begin() - 1);
  }

  // The loss has one mask for all frames: a pixel counts where every scan trusts it.
  void take_mask(const std::vector<uint8_t>& mask) {
    if (info_.mask.empty()) info_.mask = mask;
    for (size_t i = 0; i < mask.size(); ++i) info_.mask[i] = info_.mask[i] != 0 && mask[i] != 0 ? 1 : 0;
  }

  std::vector<std::unique_ptr<io::ScanReader>> scans_;
  std::vector<int64_t> first_frame_;
  io::ScanInfo info_;
};

}  // namespace

std::unique_ptr<io::ScanReader> join_scans(std::vector<std::unique_ptr<io::ScanReader>> scans) {
  if (scans.empty()) throw Error(ErrorKind::shape, "no scan file was given");
  if (scans.size() == 1) return std::move(scans.front());
  return std::make_unique<ScanSet>(std::move(scans));
}

std::vector<Segment> segments_of(const io::ScanInfo& info, const std::vector<int64_t>& frames) {
  std::map<int32_t, std::vector<int64_t>> by_image;
  for (const int64_t f : frames)
    by_image[info.object_index.empty() ? 0 : info.object_index[static_cast<size_t>(f)]].push_back(f);
  std::vector<Segment> out;
  for (auto& [image, list] : by_image) out.push_back({image, std::move(list)});
  return out;
}

std::string file_list(const std::vector<std::string>& files) {
  std::string list;
  for (const std::string& file : files) {
    if (!list.empty()) list += ':';
    for (const char c : file) {
      if (c == ':') list += '\\';
      list += c;
    }
  }
  return list;
}

std::vector<std::string> files_of_list(const std::string& list) {
  std::vector<std::string> files(1);
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i] == '\\' && i + 1 < list.size() && list[i + 1] == ':')
      files.back() += list[++i];
    else if (list[i] == ':')
      files.emplace_back();
    else
      files.back() += list[i];
  }
  std::erase(files, "");
  return files;
}

}  // namespace ptyfuse
