// SPDX-License-Identifier: Apache-2.0
//
// emufort.hpp: run a neural emulator from C++17. It consists of this header over emufort.h.
//
//   auto emulator = emufort::emulator::load("weights.bin");                                // throws emufort::error
//   emulator.predict(emufort::layout::features_contiguous, ncol, x, y);
//
//   emufort::status status;                                                                // never throws
//   auto emulator = emufort::emulator::load("weights.bin", status);
//   if (!emulator.predict(emufort::layout::features_contiguous, ncol, x, y, status)) report(status.message());
//
// Every function that can fail has both forms. The form with a status is noexcept. The throwing form does not exist if
// the compiler has exceptions switched off. Threads may share an emulator; each needs its own workspace and status.
#ifndef EMUFORT_HPP
#define EMUFORT_HPP

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include "emufort.h"

#if defined(__cpp_exceptions)
#include <stdexcept>
#endif

namespace emufort {

/// Layout of the arrays of a prediction, see emufort.h.
enum class layout : int {
  columns_contiguous = EMUFORT_COLUMNS_CONTIGUOUS,
  features_contiguous = EMUFORT_FEATURES_CONTIGUOUS
};

/// A contiguous array that another object owns: a pointer and a number of elements.
template <class T> class view {
public:
  constexpr view() noexcept = default;
  constexpr view(T *data, std::size_t size) noexcept : data_(data), size_(size) {}

  /// View an array, or a container such as std::vector, std::array or std::span.
  template <class Container,
            class Element = std::remove_pointer_t<decltype(std::data(std::declval<Container &>()))>,
            class = std::enable_if_t<std::is_convertible_v<Element (*)[], T (*)[]>>>
  constexpr view(Container &&container) noexcept : data_(std::data(container)), size_(std::size(container)) {}

  constexpr T *data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }

private:
  T *data_ = nullptr;
  std::size_t size_ = 0;
};

/// Outcome of a call: a code, a message, and counts of clipped and invalid values.
class status {
public:
  bool ok() const noexcept { return raw_.code == EMUFORT_SUCCESS; }
  int code() const noexcept { return raw_.code; }
  const char *message() const noexcept { return raw_.message; }
  const char *place() const noexcept { return raw_.place; }
  std::int64_t n_clipped() const noexcept { return raw_.n_clipped; }
  std::int64_t n_invalid() const noexcept { return raw_.n_invalid; }

  /// The status for a function of emufort.h.
  emufort_status *get() noexcept { return &raw_; }

  /// Record an error; returns false.
  bool fail(int code, const char *place, const char *message) noexcept {
    raw_ = emufort_status{};
    raw_.code = code;
    std::snprintf(raw_.place, sizeof raw_.place, "%s", place);
    std::snprintf(raw_.message, sizeof raw_.message, "%s", message);
    return false;
  }

private:
  emufort_status raw_{};
};

#if defined(__cpp_exceptions)
/// An error of a function without a status argument.
class error : public std::runtime_error {
public:
  explicit error(const emufort::status &status) : std::runtime_error(status.message()), status_(status) {}
  const emufort::status &status() const noexcept { return status_; }

private:
  emufort::status status_;
};

namespace detail {
inline void require(const status &outcome) {
  if (!outcome.ok())
    throw error(outcome);
}
} // namespace detail
#endif

/// Memory of one thread for wide networks. Move only.
class workspace {
public:
  workspace() noexcept = default;
  explicit workspace(emufort_workspace *owned) noexcept : raw_(owned) {}
  explicit operator bool() const noexcept { return raw_ != nullptr; }
  emufort_workspace *get() const noexcept { return raw_.get(); }

private:
  struct deleter {
    void operator()(emufort_workspace *owned) const noexcept { emufort_free_workspace(owned); }
  };
  std::unique_ptr<emufort_workspace, deleter> raw_;
};

/// Optional arguments of a prediction.
struct options {
  emufort::workspace *workspace = nullptr; ///< of this thread
  view<bool> is_outside = {};              ///< ncol values: whether an input of the column was out of range or invalid
  int input_leading = 0;                   ///< leading dimension of the inputs; 0: no gaps
  int output_leading = 0;                  ///< leading dimension of the outputs; 0: no gaps
};

/// A loaded emulator. Move only; empty after a load with an error.
class emulator {
public:
  emulator() noexcept = default;

  /// Load weights.bin of a bundle.
  static emulator load(const char *path, status &outcome) noexcept {
    return emulator(emufort_load(path, outcome.get()));
  }

  /// Load the content of weights.bin.
  static emulator load_bytes(const void *bytes, std::size_t length, status &outcome) noexcept {
    return emulator(emufort_load_bytes(bytes, length, outcome.get()));
  }

  explicit operator bool() const noexcept { return raw_ != nullptr; }
  const emufort_emulator *get() const noexcept { return raw_.get(); }

  int n_inputs() const noexcept { return emufort_n_inputs(get()); }
  int n_outputs() const noexcept { return emufort_n_outputs(get()); }

  /// Names and units of input or output i, counted from 0; empty if there is no such column. Valid while the emulator is.
  std::string_view input_name(int i) const noexcept { return text(emufort_input_name(get(), i)); }
  std::string_view input_units(int i) const noexcept { return text(emufort_input_units(get(), i)); }
  std::string_view output_name(int i) const noexcept { return text(emufort_output_name(get(), i)); }
  std::string_view output_units(int i) const noexcept { return text(emufort_output_units(get(), i)); }

  /// The contract as JSON; valid while the emulator is.
  std::string_view contract_json() const noexcept { return text(emufort_contract_json(get())); }

  /// Reproduce the golden vectors of weights.bin.
  bool self_test(status &outcome) const noexcept {
    return emufort_self_test(get(), outcome.get()) == EMUFORT_SUCCESS;
  }

  /// Bytes of the workspace of one thread; 0 if the emulator needs none.
  std::size_t workspace_size() const noexcept { return emufort_workspace_size(get()); }

  /// Make the workspace of one thread.
  workspace make_workspace(status &outcome) const noexcept {
    return workspace(emufort_make_workspace(get(), outcome.get()));
  }

  /// Predict ncol columns; returns whether there was no error.
  bool predict(layout how, int ncol, view<const double> inputs, view<double> outputs, status &outcome,
               const options &more = {}) const noexcept {
    return predict_with(emufort_predict_f64, how, ncol, inputs, outputs, outcome, more);
  }
  bool predict(layout how, int ncol, view<const float> inputs, view<float> outputs, status &outcome,
               const options &more = {}) const noexcept {
    return predict_with(emufort_predict_f32, how, ncol, inputs, outputs, outcome, more);
  }

#if defined(__cpp_exceptions)
  static emulator load(const char *path) {
    status outcome;
    emulator loaded = load(path, outcome);
    detail::require(outcome);
    return loaded;
  }

  static emulator load_bytes(const void *bytes, std::size_t length) {
    status outcome;
    emulator loaded = load_bytes(bytes, length, outcome);
    detail::require(outcome);
    return loaded;
  }

  void self_test() const {
    status outcome;
    self_test(outcome);
    detail::require(outcome);
  }

  workspace make_workspace() const {
    status outcome;
    workspace made = make_workspace(outcome);
    detail::require(outcome);
    return made;
  }

  /// Predict ncol columns; returns the counts.
  status predict(layout how, int ncol, view<const double> inputs, view<double> outputs,
                 const options &more = {}) const {
    status outcome;
    predict(how, ncol, inputs, outputs, outcome, more);
    detail::require(outcome);
    return outcome;
  }
  status predict(layout how, int ncol, view<const float> inputs, view<float> outputs, const options &more = {}) const {
    status outcome;
    predict(how, ncol, inputs, outputs, outcome, more);
    detail::require(outcome);
    return outcome;
  }
#endif

private:
  explicit emulator(emufort_emulator *owned) noexcept : raw_(owned) {}

  static std::string_view text(const char *found) noexcept {
    return found == nullptr ? std::string_view() : std::string_view(found);
  }

  /// Whether an array holds ncol columns of n features.
  static bool holds(std::size_t size, layout how, int ncol, int n, int leading) noexcept {
    const bool by_column = how == layout::columns_contiguous;
    const auto within = static_cast<std::size_t>(by_column ? ncol : n);
    const auto starts = static_cast<std::size_t>(by_column ? n : ncol);
    const std::size_t step = leading > 0 ? static_cast<std::size_t>(leading) : within;
    return starts == 0 || within == 0 || size >= (starts - 1) * step + within;
  }

  template <class Function, class Real>
  bool predict_with(Function function, layout how, int ncol, view<const Real> inputs, view<Real> outputs,
                    status &outcome, const options &more) const noexcept {
    // A null emulator and a negative ncol are left to the function, which has messages for them.
    if (ncol > 0 && (!holds(inputs.size(), how, ncol, n_inputs(), more.input_leading) ||
                     !holds(outputs.size(), how, ncol, n_outputs(), more.output_leading)))
      return outcome.fail(EMUFORT_ERROR_SHAPE, "predict", "the inputs or the outputs have too few elements");
    if (ncol > 0 && more.is_outside.data() != nullptr && more.is_outside.size() < static_cast<std::size_t>(ncol))
      return outcome.fail(EMUFORT_ERROR_SHAPE, "predict", "is_outside must have ncol elements");
    return function(get(), more.workspace == nullptr ? nullptr : more.workspace->get(), static_cast<int>(how), ncol,
                    inputs.data(), more.input_leading, outputs.data(), more.output_leading, more.is_outside.data(),
                    outcome.get()) == EMUFORT_SUCCESS;
  }

  struct deleter {
    void operator()(emufort_emulator *owned) const noexcept { emufort_free(owned); }
  };
  std::unique_ptr<emufort_emulator, deleter> raw_;
};

} // namespace emufort

#endif // EMUFORT_HPP
