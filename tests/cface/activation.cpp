// A host in C++, in the manner of mam4xx: the scheme has the bits of the Fortran interface, is never silent, allocates
// no more than that interface and serves threads.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "emufort_activation.hpp"

extern "C" {
int reference(double w, double wmaxf, double tair, double rhoair, const double *na, int nmode, const double *volume,
              const double *hygro, double *fn, double *fm, double *fluxn, double *fluxm, double *full, double fixed);
void *__libc_malloc(std::size_t size);

static volatile bool is_counting = false;
static volatile long allocations = 0;
void *malloc(std::size_t size) noexcept {
  if (is_counting)
    allocations = allocations + 1;
  return __libc_malloc(size);
}
}

namespace {

constexpr int modes = HOST_MODES;
constexpr double sigma[modes] = {HOST_SIGMA};
constexpr emufort_activation_constants constants = {HOST_CONSTANTS};
int failures = 0;

void check_at(int line, bool is_right, const char *what) {
  if (is_right)
    return;
  std::fprintf(stderr, "line %d: %s\n", line, what);
  ++failures;
}
#define CHECK(...) check_at(__LINE__, (__VA_ARGS__), #__VA_ARGS__)

struct parcel {
  double w, tair, rhoair, na[modes], volume[modes], hygro[modes];
};

parcel parcel_of(int i) {
  parcel made{};
  const double part = (i * 37 % 101 + 0.5) / 101.0;
  made.w = 0.02 * std::pow(200.0, part);
  made.tair = 250.0 + 50.0 * ((i * 53 % 97) / 97.0);
  made.rhoair = 0.7 + 0.5 * ((i * 11 % 89) / 89.0);
  for (int m = 0; m < modes; ++m) {
    made.na[m] = 1e6 * std::pow(1000.0, (i * (13 + m) % 83) / 83.0);
    const double radius = 1e-8 * std::pow(20.0, (i * (7 + m) % 71) / 71.0);
    made.volume[m] = made.na[m] * 4.18879 * radius * radius * radius * std::exp(4.5 * std::pow(std::log(sigma[m]), 2));
    made.hygro[m] = 0.1 + 0.9 * ((i * (17 + m) % 61) / 61.0);
  }
  if (i % 9 == 4)
    made.na[0] = made.volume[0] = 0.0;
  return made;
}

struct answer {
  double fn[modes], fm[modes], fluxn[modes], fluxm[modes], full;
};

answer wanted_of(const parcel &p, double fixed = -1.0) {
  answer wanted{};
  CHECK(reference(p.w, 10.0, p.tair, p.rhoair, p.na, modes, p.volume, p.hygro, wanted.fn, wanted.fm, wanted.fluxn,
                  wanted.fluxm, &wanted.full, fixed) == 0);
  return wanted;
}

bool same(const answer &a, const answer &b) { return std::memcmp(&a, &b, sizeof a) == 0; }

answer of(const parcel &p, emufort::status &status) {
  answer found{};
  emufort::activate_modal<modes>(p.w, 10.0, p.tair, p.rhoair, p.na, p.volume, p.hygro, found.fn, found.fm, found.fluxn,
                                 found.fluxm, found.full, status);
  return found;
}

void compare() {
  emufort::status status;
  for (int i = 0; i < 300; ++i) {
    const parcel p = parcel_of(i);
    is_counting = true;
    const answer wanted = wanted_of(p);
    const long in_fortran = allocations;
    const answer found = of(p, status);
    is_counting = false;
    CHECK(allocations == 2 * in_fortran);
    allocations = 0;
    CHECK(status.ok() && same(found, wanted) && std::isfinite(found.fn[0]));
    // with the arguments of mam4xx
    const double unused[modes] = {};
    answer again{};
    emufort::activate_modal<modes>(p.w, 10.0, p.tair, p.rhoair, p.na, p.volume, p.hygro, unused, unused, 0.0, again.fn,
                                   again.fm, again.fluxn, again.fluxm, again.full);
    CHECK(same(again, wanted));
    const double fixed = 0.003;
    emufort_activation_modal(p.w, 0.0, 0.0, 0.0, 10.0, p.tair, p.rhoair, p.na, modes, p.volume, p.hygro, again.fn,
                           again.fm, again.fluxn, again.fluxm, &again.full, &fixed, nullptr);
    CHECK(same(again, wanted_of(p, fixed)));
  }
}

void run_threads() {
  std::vector<int> wrong(8, 1);
  std::vector<answer> wanted;
  for (int i = 0; i < 100; ++i)
    wanted.push_back(wanted_of(parcel_of(i)));
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&wrong, &wanted, t] {
      emufort::status status;
      int found = 0;
      for (int i = 0; i < 100; ++i)
        found += !same(of(parcel_of(i), status), wanted[static_cast<std::size_t>(i)]) || !status.ok();
      wrong[t] = found;
    });
  for (std::thread &thread : threads)
    thread.join();
  for (int found : wrong)
    CHECK(found == 0);
}

// ---- the routine of the host, and its end of a run

int calls = 0;
std::string ended;

void own_routine(double w, double, double, double, double, double, double, const double *na, int n, const double *,
                 const double *, double *fn, double *fm, double *fluxn, double *fluxm, double *full,
                 const double *smax_prescribed) {
  ++calls;
  for (int m = 0; m < n; ++m) {
    fn[m] = na[m] > 0.0 ? 0.25 : 0.0;
    fm[m] = 0.5;
    fluxn[m] = fn[m] * w;
    fluxm[m] = fm[m] * w;
  }
  *full = smax_prescribed == nullptr ? w : *smax_prescribed;
}

void own_abort(const char *message) { ended = message; }

void run_host() {
  const parcel p = parcel_of(3);
  emufort::status status;
  emufort_activation_options options{};
  options.scheme = "host";
  CHECK(!emufort::activation_init(constants, sigma, options, status) && status.code() != 0);
  options.host_routine = own_routine;
  CHECK(emufort::activation_init(constants, sigma, options, status));
  const answer found = of(p, status);
  CHECK(status.ok() && calls == 1 && found.fn[0] == 0.25 && found.full == p.w);
  const double fixed = 0.004;
  answer again{};
  emufort_activation_modal(p.w, 0.0, 0.0, 0.0, 10.0, p.tair, p.rhoair, p.na, modes, p.volume, p.hygro, again.fn, again.fm,
                         again.fluxn, again.fluxm, &again.full, &fixed, status.get());
  CHECK(status.ok() && calls == 2 && again.full == fixed);

  // constants that do not fit: refused, or answered by the routine of the host
  emufort_activation_constants others = constants;
  others.latent_heat *= 0.9;
  options.scheme = "emulator";
  options.outside = "host";
  CHECK(!emufort::activation_init(others, sigma, options, status));
  CHECK(status.code() == EMUFORT_ERROR_CONTRACT && std::strstr(status.message(), "latent") != nullptr);
  options.mismatch = "fall_back";
  CHECK(emufort::activation_init(others, sigma, options, status));
  CHECK(std::strstr(status.message(), "latent") != nullptr);
  calls = 0;
  CHECK(of(p, status).fm[1] == 0.5 && calls == 1);

  // more modes than init was given: the end of the run, then the routine of the host
  options.abort = own_abort;
  CHECK(emufort::activation_init(others, sigma, options, status));
  std::vector<double> many(modes + 1, 1e-9), out(4 * many.size());
  const int n = modes + 1;
  double full = 0.0;
  emufort_activation_modal(0.3, 0.0, 0.0, 0.0, 10.0, 280.0, 1.0, many.data(), n, many.data(), many.data(), out.data(),
                         out.data() + n, out.data() + 2 * n, out.data() + 3 * n, &full, nullptr, nullptr);
  CHECK(ended.find("mode") != std::string::npos && calls == 2 && full == 0.3);
  CHECK(emufort_activation_errors() == 1);
}

void run_errors() {
  const parcel p = parcel_of(1);
  emufort::status status;
  answer found = of(p, status);
  CHECK(status.code() == EMUFORT_ERROR_NOT_LOADED && std::strlen(status.message()) > 5 && std::isnan(found.fn[0]));
  CHECK(emufort_activation_errors() == 1);
  emufort_activation_options options{};
  options.scheme = "no such scheme";
  CHECK(!emufort::activation_init(constants, sigma, options, status));
  CHECK(std::strstr(status.message(), "no such scheme") != nullptr);
  CHECK(emufort_activation_init(nullptr, modes, sigma, nullptr, status.get()) == EMUFORT_ERROR_SHAPE);
  CHECK(emufort_activation_init(&constants, modes, nullptr, nullptr, status.get()) == EMUFORT_ERROR_SHAPE);
  CHECK(emufort_activation_init(&constants, 0, sigma, nullptr, status.get()) == EMUFORT_ERROR_SHAPE);
  CHECK(emufort_activation_init(&constants, modes - 1, sigma, nullptr, status.get()) == EMUFORT_ERROR_CONTRACT);
  CHECK(emufort_activation_init(&constants, modes, sigma, nullptr, nullptr) == EMUFORT_SUCCESS);
  emufort_activation_modal(0.3, 0.0, 0.0, 0.0, 10.0, 280.0, 1.0, nullptr, modes, p.volume, p.hygro, found.fn, found.fm,
                         found.fluxn, found.fluxm, &found.full, nullptr, status.get());
  CHECK(status.code() == EMUFORT_ERROR_SHAPE);
  emufort_activation_modal(0.3, 0.0, 0.0, 0.0, 10.0, 280.0, 1.0, p.na, -1, p.volume, p.hygro, found.fn, found.fm,
                         found.fluxn, found.fluxm, &found.full, nullptr, status.get());
}

} // namespace

int main() {
  run_errors();
  emufort::status status;
  CHECK(emufort::activation_init(constants, sigma, {}, status) && std::strlen(status.message()) == 0);
  CHECK(std::strlen(emufort_activation_hash()) == 64);
  compare();
  run_threads();
  run_host();
  if (failures == 0)
    std::printf("the same bits\n");
  return failures != 0;
}
