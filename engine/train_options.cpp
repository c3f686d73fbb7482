#include "engine/train_options.h"

#include "engine/frame_range.h"

namespace ptyfuse {
namespace {

// --loss nll|mae is shorthand for the two weights, which follow it in the table and so win.
Option loss_shorthand(TrainConfig& config) {
  Option o;
  o.name = "loss";
  o.help = "likelihood: nll (Poisson) or mae (amplitudes); shorthand for the two weights";
  o.choices = {"nll", "mae"};
  o.set = [&config](const std::string& text) {
    if (text != "nll" && text != "mae") throw UsageError("--loss: '" + text + "' is not one of nll, mae");
    config.nll_weight = text == "nll" ? 1 : 0;
    config.mae_weight = text == "mae" ? 1 : 0;
  };
  o.get = [&config]() -> std::string { return config.mae_weight > 0 && config.nll_weight == 0 ? "mae" : "nll"; };
  return o;
}

}  // namespace

OptionTable train_options(TrainConfig& c) {
  OptionTable t;
  t.heading("Patterns and groups");
  t.text("scans", c.scans, "scan files, separated by ':' (or named on the command line)");
  add_frames_option(t, c.frames);
  t.integer("subsample", c.subsample, "frames drawn at random before grouping; 0: all");
  constexpr int64_t most_groups = 100'000'000;  // some gigabytes of indices and offsets
  t.integer("groups", c.groups, "groups to train on, of all images together; 0: one for each frame", 0, most_groups);
  t.integer("neighbors", c.neighbors, "nearest neighbours that a group is drawn from", 1);
  t.flag("oversample", c.oversample, "allow more groups than frames");
  t.flag("exclude-seed", c.exclude_seed, "draw all members from the neighbours, not the seed itself");
  t.real("validation", c.validation, "share of the groups kept for validation", 0, 0.9);
  t.heading("Network");
  t.choice("method", c.method, {{"pinn", Method::pinn}, {"supervised", Method::supervised}},
           "pinn learns from diffraction alone; supervised needs the scan's true object");
  t.integer("N", c.side_px, "side of a pattern in pixels; 0 takes the scan's", 0, 256);
  t.integer("gridsize", c.gridsize, "1: single patterns; 2: groups of four overlapping ones", 1, 2);
  t.real("filters-scale", c.filters_scale, "multiplies every width of the network", 0.25, 4);
  t.choice("network", c.network, {{"grouped", Network::grouped}, {"shared", Network::shared}},
           "grouped: a group's patterns enter together; shared: one network sees each by itself");
  t.toggle("object-big", c.object_big, "members of a group have patches of their own, merged by the physics");
  t.toggle("probe-big", c.probe_big, "the patch's border is predicted too");
  t.choice("pad-object", c.pad_object, {{"auto", Toggle::automatic}, {"on", Toggle::on}, {"off", Toggle::off}},
           "predict the central half only; auto: off where the probe reaches outside it");
  t.choice("border-activation", c.border_activation,
           {{"same", BorderActivation::same}, {"swish", BorderActivation::swish}}, "activation of the border decoder");
  t.choice("amplitude", c.amplitude,
           {{"sigmoid", AmplitudeActivation::sigmoid},
            {"swish", AmplitudeActivation::swish},
            {"softplus", AmplitudeActivation::softplus},
            {"relu", AmplitudeActivation::relu}},
           "activation of the amplitude");
  t.choice("init", c.initialisation, {{"he", Initialisation::he}, {"glorot", Initialisation::glorot}},
           "first weights: he learns faster; glorot is the published method's");
  t.heading("Probe and merging");
  t.text("probe", c.probe, "probe to use instead of the scan's", "FILE[:DATASET]");
  t.toggle("probe-mask", c.probe_mask, "cut the probe to its central disk (pinn only)");
  t.real_or_auto("probe-scale", c.probe_scale, 0,
                 "sum |mask*P| = N*N/scale; auto: an object of amplitude 0.65 explains the mean counts (pinn only)");
  t.real_or_auto("photons", c.photons, 0, "mean counts of a pattern, for scans that hold amplitudes");
  t.toggle("train-scale", c.train_scale, "make the overall intensity scale trainable");
  t.choice("merge-weight", c.merge_weight, {{"probe", MergeWeight::probe}, {"square", MergeWeight::square}},
           "weight of a patch's pixels where patches are merged");
  t.real("merge-border", c.merge_border, "added to the probe's weight, or the weight outside the square", 0, 1);
  t.heading("Loss");
  t.custom(loss_shorthand(c));
  t.real("nll-weight", c.nll_weight, "weight of the Poisson likelihood (pinn only)");
  t.real("mae-weight", c.mae_weight, "weight of the amplitudes' mean absolute error (pinn only)");
  t.real("tv-weight", c.tv_weight,
         "weight of the object's total variation, a sum over its pixels; 0: none (pinn only)");
  t.heading("Optimisation");
  t.integer("epochs", c.epochs, "passes over the groups; may change on --resume, but not with --schedule cosine", 1);
  t.integer("batch", c.batch, "groups in a step", 1, 65536);
  t.real("lr", c.learning_rate, "Adam's learning rate", 0, 10);
  t.choice("schedule", c.schedule,
           {{"constant", Schedule::constant},
            {"plateau", Schedule::plateau},
            {"cosine", Schedule::cosine},
            {"exponential", Schedule::exponential}},
           "learning rate over time; plateau halves it when the validation loss stalls");
  t.toggle("early-stopping", c.early_stopping, "stop when the training loss stalls for 3 epochs (not with cosine)");
  t.choice("clip", c.clip, {{"none", Clip::none}, {"norm", Clip::norm}, {"value", Clip::value}, {"agc", Clip::agc}},
           "gradient clipping");
  t.real_or_auto("clip-at", c.clip_at, 0, "its limit (norm, value) or factor (agc); auto: 1, for agc 0.01", 1e-9);
  t.seed("seed", c.seed, "of initial weights, groups and order: same seed, same model");
  t.heading("Machine and checkpoints");
  t.choice("precision", c.precision,
           {{"auto", PrecisionChoice::automatic}, {"fp32", PrecisionChoice::fp32}, {"bf16", PrecisionChoice::bf16}},
           "arithmetic of the convolutions; auto: bf16 where the device is quick at it");
  t.bytes("host-memory", c.host_memory_bytes, "most memory for frames on the host; 0: no limit");
  t.bytes("device-memory", c.device_memory_bytes,
          "most memory on the device; the batch does not shrink to it, the error says which one fits; 0: no limit");
  t.choice("recompute", c.recompute, {{"auto", Toggle::automatic}, {"on", Toggle::on}, {"off", Toggle::off}},
           "run the network's stages again on the way back instead of keeping what they gave: same model, less memory, "
           "more time; auto: where memory forbids to keep it");
  t.integer("checkpoint-every", c.checkpoint_every, "epochs between checkpoints", 1);
  return t;
}

TrainConfig parse_train_config(const std::string& toml, const std::string& origin) {
  TrainConfig config;
  train_options(config).apply(OptionTable::parse_toml(toml, origin));
  return config;
}

}  // namespace ptyfuse
