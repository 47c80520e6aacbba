// Uses the backend of examples/e3sm_inference through the abstract interface, and compares with emufort.h.
//
//   backend WEIGHTS
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "emufort_backend.hpp"

using emulator::inference::EmufortBackend;
using emulator::inference::InferenceBackend;
using emulator::inference::InferenceConfig;

static bool is_refused(const InferenceConfig &config, const std::string &path, const char *reason) {
  try {
    EmufortBackend backend(config, path);
  } catch (const std::runtime_error &error) {
    return std::strstr(error.what(), reason) != nullptr;
  }
  return false;
}

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  InferenceConfig config;
  config.input_channels = 4;
  config.output_channels = 3;
  auto own = std::make_shared<EmufortBackend>(config, argv[1]);
  const std::shared_ptr<InferenceBackend> backend = own;
  if (backend->name() != "emufort")
    return 3;

  const emufort::emulator direct = emufort::emulator::load(argv[1]);
  for (int n : {1, 5, 33, 100}) {
    const auto size = static_cast<std::size_t>(n);
    std::vector<double> x, y(3 * size), wanted(3 * size);
    for (int i = 0; i < n; ++i)
      for (double value : {0.5 + 0.2 * i, 280.0, 281.0 + 0.1 * i, 1e-5})
        x.push_back(value);
    if (!backend->infer(x.data(), y.data(), n))
      return 4;
    direct.predict(emufort::layout::features_contiguous, n, x, wanted);
    if (std::memcmp(y.data(), wanted.data(), sizeof(double) * y.size()) != 0)
      return 5;
  }
  const double odd[8] = {99.0, 280.0, 281.0, 1e-5, NAN, 280.0, 281.0, 1e-5};
  double y[6] = {};
  if (!backend->infer(odd, y, 2) || own->n_clipped() != 1 || own->n_invalid() != 1 || !std::isnan(y[3]))
    return 6;
  if (!backend->infer(odd, y) || backend->infer(nullptr, y, 2) || own->message().empty() || backend->infer(odd, y, -1))
    return 7;
  backend->finalize();
  backend->finalize();
  if (backend->infer(odd, y, 2) || own->message().find("null pointer") == std::string::npos)
    return 8;

  if (!is_refused(config, "there is no such file", "cannot open"))
    return 9;
  config.input_channels = 5;
  if (!is_refused(config, argv[1], "5 input channels, the emulator has 4"))
    return 10;
  config = InferenceConfig();
  config.output_channels = 1;
  if (!is_refused(config, argv[1], "1 output channels, the emulator has 3"))
    return 11;
  EmufortBackend unchecked(InferenceConfig(), argv[1]);
  std::printf("the same bits\n");
  return 0;
}
