// SPDX-License-Identifier: Apache-2.0
//
// A backend of E3SM's inference interface (components/emulators/common/src/inference) that runs an emulator of emufort
// on the CPU. See README.md.
#ifndef EMUFORT_BACKEND_HPP
#define EMUFORT_BACKEND_HPP

#include <stdexcept>
#include <string>

#include "emufort.hpp"
#include "inference_backend.hpp"

namespace emulator::inference {

/// Runs weights.bin of a bundle. Each thread needs a backend of its own, because the backend holds a workspace.
class EmufortBackend : public InferenceBackend {
public:
  /// Load the emulator and check it: its golden vectors, and the numbers of channels that the configuration gives.
  /// Throws std::runtime_error.
  EmufortBackend(const InferenceConfig &config, const std::string &weights)
      : InferenceBackend(config), emulator_(emufort::emulator::load(weights.c_str())),
        workspace_(emulator_.make_workspace()) {
    emulator_.self_test();
    require("input", config.input_channels, emulator_.n_inputs());
    require("output", config.output_channels, emulator_.n_outputs());
  }

  /// Predict batch_size columns of arrays [batch][channel] in contract order; returns whether there was no error.
  bool infer(const double *inputs, double *outputs, int batch_size = 1) override {
    const bool is_done = emufort_predict_f64(emulator_.get(), workspace_.get(), EMUFORT_FEATURES_CONTIGUOUS, batch_size,
                                             inputs, 0, outputs, 0, nullptr, status_.get()) == EMUFORT_SUCCESS;
    n_clipped_ += status_.n_clipped();
    n_invalid_ += status_.n_invalid();
    return is_done;
  }

  /// Free the emulator; `infer` returns false afterwards.
  void finalize() override {
    workspace_ = emufort::workspace();
    emulator_ = emufort::emulator();
  }

  std::string name() const override { return "emufort"; }

  /// Message of the last call of `infer` that returned false.
  std::string message() const { return status_.message(); }

  /// Input values that were clipped to the range of the contract, and columns with NaN or infinity, since construction.
  std::int64_t n_clipped() const { return n_clipped_; }
  std::int64_t n_invalid() const { return n_invalid_; }

private:
  static void require(const char *what, int configured, int actual) {
    if (configured != 0 && configured != actual)
      throw std::runtime_error(std::string("the configuration has ") + std::to_string(configured) + " " + what +
                               " channels, the emulator has " + std::to_string(actual));
  }

  emufort::emulator emulator_;
  emufort::workspace workspace_;
  emufort::status status_;
  std::int64_t n_clipped_ = 0, n_invalid_ = 0;
};

} // namespace emulator::inference

#endif // EMUFORT_BACKEND_HPP
