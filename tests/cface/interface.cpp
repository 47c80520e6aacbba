// Uses everything in emufort.hpp and in a generated header, in C++17, and compares with the Fortran interfaces.
//
//   interface WEIGHTS
//
// With exceptions switched off, only the functions with a status are used.
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "emufort.hpp"
#include "pond_emulator.hpp"

extern "C" {
int reference_load(const char *path, int length);
int reference_f64(int ncol, const double *x, double *y);
int reference_f32(int ncol, const float *x, float *y);
}

namespace {

int failures = 0;

void check_at(int line, bool is_right, const char *what) {
  if (is_right)
    return;
  std::fprintf(stderr, "line %d: %s\n", line, what);
  ++failures;
}
#define CHECK(...) check_at(__LINE__, (__VA_ARGS__), #__VA_ARGS__)

static_assert(!std::is_copy_constructible_v<emufort::emulator> && !std::is_copy_assignable_v<emufort::emulator>);
static_assert(std::is_nothrow_move_constructible_v<emufort::emulator>);
static_assert(!std::is_copy_constructible_v<emufort::workspace>);
static_assert(std::is_nothrow_move_assignable_v<emufort::workspace>);
static_assert(!std::is_convertible_v<const std::vector<double> &, emufort::view<double>>);
static_assert(std::is_convertible_v<const std::vector<double> &, emufort::view<const double>>);
static_assert(!std::is_convertible_v<std::vector<float> &, emufort::view<const double>>);

int reference(int ncol, const std::vector<double> &x, std::vector<double> &y) {
  return reference_f64(ncol, x.data(), y.data());
}
int reference(int ncol, const std::vector<float> &x, std::vector<float> &y) {
  return reference_f32(ncol, x.data(), y.data());
}

template <class Real> bool same(const std::vector<Real> &a, const std::vector<Real> &b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), sizeof(Real) * a.size()) == 0;
}

template <class Real> std::vector<Real> columns(int ncol) {
  std::vector<Real> x;
  for (int j = 0; j < 4; ++j)
    for (int i = 0; i < ncol; ++i) {
      const double part = (i * 37 % 101 + 0.5) / 101.0;
      x.push_back(static_cast<Real>(j == 0 ? 0.1 + 29.9 * part : j == 3 ? 1e-7 + 1e-3 * part : 275.0 + 20.0 * part));
    }
  if (ncol > 3)
    x[3] = static_cast<Real>(77.0);
  return x;
}

template <class Real> void compare(const emufort::emulator &emulator, emufort::workspace &workspace, int ncol) {
  const auto n = static_cast<std::size_t>(ncol);
  const std::vector<Real> x = columns<Real>(ncol);
  std::vector<Real> wanted(3 * n), y(3 * n);
  CHECK(reference(ncol, x, wanted) == 0);

  emufort::status status;
  CHECK(emulator.predict(emufort::layout::columns_contiguous, ncol, x, y, status));
  CHECK(status.ok() && status.n_clipped() == (ncol > 3) && status.n_invalid() == 0 && same(y, wanted));

  std::vector<Real> turned(4 * n), back(3 * n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < 4; ++j)
      turned[j + 4 * i] = x[i + j * n];
  std::array<bool, 400> outside{};
  emufort::options more;
  more.workspace = &workspace;
  more.is_outside = outside;
  CHECK(emulator.predict(emufort::layout::features_contiguous, ncol, turned, back, status, more));
  for (std::size_t i = 0; i < n; ++i) {
    CHECK(outside[i] == (ncol > 3 && i == 3));
    for (std::size_t j = 0; j < 3; ++j)
      y[i + j * n] = back[j + 3 * i];
  }
  CHECK(same(y, wanted));

  // the typed function, with one array per variable
  std::vector<Real> rate(n), heat(2 * n);
  pond_emulator::inputs<Real> inputs;
  inputs.wind_speed = {x.data(), n};
  inputs.water_temperature = {x.data() + n, 2 * n};
  inputs.first_guess = {x.data() + 3 * n, n};
  pond_emulator::outputs<Real> outputs;
  outputs.evaporation = rate;
  outputs.heat_flux = heat;
  CHECK(pond_emulator::predict(emufort::layout::columns_contiguous, ncol, inputs, outputs, status, more));
  CHECK(status.n_clipped() == (ncol > 3));
  rate.insert(rate.end(), heat.begin(), heat.end());
  CHECK(same(rate, wanted));

  // arrays that are too short
  CHECK(!emulator.predict(emufort::layout::columns_contiguous, ncol, {x.data(), x.size() - 1}, y, status));
  CHECK(status.code() == EMUFORT_ERROR_SHAPE && std::strlen(status.message()) > 5);
  CHECK(!emulator.predict(emufort::layout::features_contiguous, ncol, x, {y.data(), y.size() - 1}, status));
  CHECK(status.code() == EMUFORT_ERROR_SHAPE);
  more.is_outside = {outside.data(), n - 1};
  CHECK(!emulator.predict(emufort::layout::columns_contiguous, ncol, x, y, status, more));
  CHECK(!pond_emulator::predict(emufort::layout::columns_contiguous, ncol, inputs, outputs, status, more));
  inputs.first_guess = {x.data() + 3 * n, n - 1};
  CHECK(!pond_emulator::predict(emufort::layout::columns_contiguous, ncol, inputs, outputs, status));
  CHECK(status.code() == EMUFORT_ERROR_SHAPE);
}

void run_threads(const emufort::emulator &emulator) {
  std::vector<int> wrong(8, 1);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    const int ncol = 5 + 31 * static_cast<int>(t);
    const std::vector<double> x = columns<double>(ncol);
    std::vector<double> wanted(3 * static_cast<std::size_t>(ncol));
    CHECK(reference(ncol, x, wanted) == 0);
    threads.emplace_back([&emulator, &wrong, t, ncol, x, wanted] {
      emufort::status status;
      emufort::workspace workspace = emulator.make_workspace(status);
      emufort::options more;
      more.workspace = &workspace;
      int found = status.ok() ? 0 : 1;
      for (int round = 0; round < 100; ++round) {
        std::vector<double> y(wanted.size());
        found += !emulator.predict(emufort::layout::columns_contiguous, ncol, x, y, status, more);
        found += !same(y, wanted);
      }
      wrong[t] = found;
    });
  }
  for (std::thread &thread : threads)
    thread.join();
  for (int found : wrong)
    CHECK(found == 0);
}

#if defined(__cpp_exceptions)
template <class Function> int code_of(Function function) {
  try {
    function();
  } catch (const emufort::error &error) {
    CHECK(std::strlen(error.what()) > 5 && std::string(error.what()) == error.status().message());
    return error.status().code();
  }
  return 0;
}

void run_exceptions(const char *path, const std::vector<char> &bytes) {
  emufort::emulator emulator = emufort::emulator::load(path);
  emulator = emufort::emulator::load_bytes(bytes.data(), bytes.size());
  emulator.self_test();
  emufort::workspace workspace = emulator.make_workspace();
  CHECK(bool(workspace));
  const std::vector<double> x = columns<double>(7);
  std::vector<double> y(21), rate(7), heat(14);
  CHECK(emulator.predict(emufort::layout::columns_contiguous, 7, x, y).n_clipped() == 1);
  CHECK(code_of([&] { emufort::emulator::load("there is no such file"); }) == EMUFORT_ERROR_FILE);
  CHECK(code_of([&] { emufort::emulator::load_bytes(bytes.data(), 100); }) == EMUFORT_ERROR_FORMAT);
  CHECK(code_of([&] { emulator.predict(emufort::layout::columns_contiguous, 8, x, y); }) == EMUFORT_ERROR_SHAPE);
  CHECK(code_of([&] { emufort::emulator().self_test(); }) == EMUFORT_ERROR_NOT_LOADED);
  CHECK(code_of([&] { emufort::emulator().make_workspace(); }) == EMUFORT_ERROR_NOT_LOADED);
  pond_emulator::inputs<double> inputs;
  inputs.wind_speed = {x.data(), 7};
  inputs.water_temperature = {x.data() + 7, 14};
  inputs.first_guess = {x.data() + 21, 7};
  const pond_emulator::outputs<double> outputs{rate, heat};
  CHECK(pond_emulator::predict(emufort::layout::columns_contiguous, 7, inputs, outputs).n_clipped() == 1);
  CHECK(code_of([&] { pond_emulator::predict(emufort::layout::columns_contiguous, 8, inputs, outputs); }) ==
        EMUFORT_ERROR_SHAPE);
  CHECK(bool(pond_emulator::make_workspace()));
}
#endif

} // namespace

int main(int argc, char **argv) {
  if (argc != 2)
    return 2;
  CHECK(reference_load(argv[1], static_cast<int>(std::strlen(argv[1]))) == 0);
  std::ifstream file(argv[1], std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());

  emufort::status status;
  emufort::emulator emulator = emufort::emulator::load_bytes(bytes.data(), bytes.size(), status);
  CHECK(bool(emulator) && status.ok());
  emufort::emulator moved = std::move(emulator);
  emulator = emufort::emulator::load(argv[1], status);
  CHECK(bool(moved) && bool(emulator) && status.ok());
  CHECK(emulator.n_inputs() == 4 && emulator.n_outputs() == 3);
  CHECK(emulator.input_name(1) == "water_temperature[upper]" && emulator.input_units(0) == "m s-1");
  CHECK(emulator.output_name(0) == "evaporation" && emulator.output_units(1) == "W m-2");
  CHECK(emulator.input_name(4).empty() && emufort::emulator().output_name(0).empty());
  CHECK(emulator.contract_json().find("first_guess") != std::string_view::npos);
  CHECK(emulator.self_test(status) && emulator.workspace_size() == 0);
  emufort::workspace workspace = emulator.make_workspace(status);
  CHECK(bool(workspace));
  CHECK(emulator.predict(emufort::layout::columns_contiguous, 0, emufort::view<const float>(), {}, status));
  for (int ncol = 1; ncol < 70; ++ncol) {
    compare<double>(ncol % 2 == 0 ? emulator : moved, workspace, ncol);
    compare<float>(moved, workspace, ncol);
  }
  run_threads(emulator);
  CHECK(!emufort::emulator::load("there is no such file", status) && status.code() == EMUFORT_ERROR_FILE);
  CHECK(!emufort::emulator().self_test(status) && status.code() == EMUFORT_ERROR_NOT_LOADED);
  std::vector<double> y(3);
  CHECK(!emufort::emulator().predict(emufort::layout::columns_contiguous, 1, columns<double>(1), y, status));
  CHECK(status.code() == EMUFORT_ERROR_NOT_LOADED && std::string(status.place()) == "predict");
#if defined(__cpp_exceptions)
  run_exceptions(argv[1], bytes);
#endif
  if (failures == 0)
    std::printf("the same bits\n");
  return failures != 0;
}
