// The same as main.c, in C++.
//
//   main WEIGHTS COLUMNS
#include <cstdio>
#include <exception>
#include <fstream>
#include <vector>

#include <emufort.hpp>

int main(int argc, char **argv) try {
  if (argc != 3)
    return 2;
  const emufort::emulator emulator = emufort::emulator::load(argv[1]);
  emulator.self_test();
  std::ifstream file(argv[2]);
  int n = 0;
  file >> n;
  const auto n_out = static_cast<std::size_t>(emulator.n_outputs());
  std::vector<double> x(static_cast<std::size_t>(n * emulator.n_inputs()));
  std::vector<double> y(static_cast<std::size_t>(n) * n_out);
  for (double &value : x)
    file >> value;
  if (!file)
    return 3;
  emulator.predict(emufort::layout::features_contiguous, n, x, y);
  for (std::size_t k = 0; k < y.size(); ++k)
    std::printf("%.17g%c", y[k], k % n_out + 1 < n_out ? ' ' : '\n');
  return 0;
} catch (const std::exception &error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
