// A stand-in of the interface that examples/e3sm_inference implements: the same names and signatures, nothing else.
#ifndef INFERENCE_BACKEND_STAND_IN_HPP
#define INFERENCE_BACKEND_STAND_IN_HPP

#include <string>

namespace emulator {
namespace inference {

struct InferenceConfig {
  int input_channels = 0;
  int output_channels = 0;
  bool verbose = false;
};

class InferenceBackend {
public:
  explicit InferenceBackend(const InferenceConfig &config) : m_config(config) {}
  virtual ~InferenceBackend() = default;
  virtual bool infer(const double *inputs, double *outputs, int batch_size = 1) = 0;
  virtual void finalize() = 0;
  virtual std::string name() const = 0;

protected:
  InferenceConfig m_config;
};

} // namespace inference
} // namespace emulator

#endif
