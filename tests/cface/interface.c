/* Uses everything in emufort.h and in a generated header, in C99, and compares with the Fortran interfaces.
 *
 *   interface WEIGHTS
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emufort.h"
#include "pond_emulator.h"

enum { MOST = 300, N_IN = 4, N_OUT = 3, GAP = 5, THREADS = 8 };

int reference_load(const char *path, int length);
int reference_f64(int ncol, const double *x, double *y);
int reference_f32(int ncol, const float *x, float *y);

static int failures = 0;

static void check_at(int line, bool is_right, const char *what) {
  if (is_right) return;
  fprintf(stderr, "line %d: %s\n", line, what);
  ++failures;
}
#define CHECK(condition) check_at(__LINE__, (condition), #condition)

/* ---- a malloc that counts, for this program and all libraries */

#ifdef COUNT_ALLOCATIONS
void *__libc_malloc(size_t size);
static volatile long allocations = 0;
void *malloc(size_t size);
void *malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
static long count(void) { return allocations; }
#else
static long count(void) { return 0; }
#endif

/* ---- columns */

static unsigned long long state = 88172645463325252ULL;
static double uniform(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (double)(state >> 11) / 9007199254740992.0;
}

/* Inputs of the contract `pond` (ncol, 4), exact in single precision, some out of range or NaN. */
static void fill(int ncol, double *x) {
  for (int i = 0; i < ncol; ++i) {
    x[i] = (float)(0.1 + 29.9 * uniform());
    x[i + ncol] = (float)(275.0 + 30.0 * uniform());
    x[i + 2 * ncol] = (float)(274.0 + 21.0 * uniform());
    x[i + 3 * ncol] = (float)(1e-7 + 1e-3 * uniform());
    if (i % 11 == 7) x[i] = 55.0;
    if (i % 17 == 5) x[i + ncol] = NAN;
  }
}

static bool same(const void *a, const void *b, size_t length) { return memcmp(a, b, length) == 0; }

#define REAL double
#define NAME(start) start##f64
#include "compare.h"
#undef REAL
#undef NAME
#define REAL float
#define NAME(start) start##f32
#include "compare.h"

/* ---- threads: all use one emulator, each has columns and a workspace of its own */

typedef struct work_type {
  const emufort_emulator *emulator;
  const double *x, *wanted;
  int ncol, wrong;
} work_type;

static void *work(void *argument) {
  work_type *mine = argument;
  double *y = malloc(sizeof(double) * (size_t)(mine->ncol * N_OUT));
  emufort_status status;
  emufort_workspace *workspace = emufort_make_workspace(mine->emulator, &status);
  mine->wrong = workspace == NULL;
  for (int round = 0; round < 200 && y; ++round) {
    const int ncol = mine->ncol;
    mine->wrong += emufort_predict_f64(mine->emulator, workspace, EMUFORT_COLUMNS_CONTIGUOUS, ncol, mine->x, 0, y, 0,
                                       NULL, &status) != 0;
    mine->wrong += memcmp(y, mine->wanted, sizeof(double) * (size_t)(ncol * N_OUT)) != 0;
    const pond_emulator_inputs_f64 inputs = {mine->x, mine->x + ncol, mine->x + 3 * ncol};
    const pond_emulator_outputs_f64 outputs = {y, y + ncol};
    memset(y, 0, sizeof(double) * (size_t)(ncol * N_OUT));
    mine->wrong += pond_emulator_predict_f64(workspace, EMUFORT_COLUMNS_CONTIGUOUS, ncol, &inputs, &outputs, NULL,
                                             &status) != 0;
    mine->wrong += memcmp(y, mine->wanted, sizeof(double) * (size_t)(ncol * N_OUT)) != 0;
  }
  emufort_free_workspace(workspace);
  free(y);
  return NULL;
}

static void run_threads(const emufort_emulator *emulator) {
  static double x[THREADS][MOST * N_IN], wanted[THREADS][MOST * N_OUT];
  pthread_t threads[THREADS];
  work_type works[THREADS];
  for (int t = 0; t < THREADS; ++t) {
    const int ncol = 3 + 37 * t;
    fill(ncol, x[t]);
    CHECK(reference_f64(ncol, x[t], wanted[t]) == 0);
    works[t] = (work_type){emulator, x[t], wanted[t], ncol, 0};
  }
  for (int t = 0; t < THREADS; ++t) CHECK(pthread_create(&threads[t], NULL, work, &works[t]) == 0);
  for (int t = 0; t < THREADS; ++t) {
    CHECK(pthread_join(threads[t], NULL) == 0);
    CHECK(works[t].wrong == 0);
  }
}

/* ---- errors */

static void expect_at(int line, int wanted, int code, const emufort_status *status) {
  check_at(line, code == wanted && status->code == wanted, "the code of an error");
  check_at(line, strlen(status->message) > 5 && strlen(status->message) < sizeof status->message, "its message");
  check_at(line, strlen(status->place) > 0, "its place");
}
#define EXPECT(wanted, call) expect_at(__LINE__, wanted, (call), &status)

static void run_errors(const emufort_emulator *emulator, const unsigned char *bytes, size_t length) {
  const int columns = EMUFORT_COLUMNS_CONTIGUOUS, features = EMUFORT_FEATURES_CONTIGUOUS;
  double x[4 * N_IN] = {0}, y[4 * N_OUT] = {0};
  emufort_status status;
  EXPECT(EMUFORT_ERROR_NOT_LOADED, emufort_predict_f64(NULL, NULL, columns, 4, x, 0, y, 0, NULL, &status));
  EXPECT(EMUFORT_ERROR_SHAPE, emufort_predict_f64(emulator, NULL, columns, -1, x, 0, y, 0, NULL, &status));
  EXPECT(EMUFORT_ERROR_SHAPE, emufort_predict_f64(emulator, NULL, 7, 4, x, 0, y, 0, NULL, &status));
  EXPECT(EMUFORT_ERROR_SHAPE, emufort_predict_f64(emulator, NULL, columns, 4, NULL, 0, y, 0, NULL, &status));
  EXPECT(EMUFORT_ERROR_SHAPE, emufort_predict_f64(emulator, NULL, columns, 4, x, 0, NULL, 0, NULL, &status));
  EXPECT(EMUFORT_ERROR_SHAPE, emufort_predict_f64(emulator, NULL, columns, 4, x, 3, y, 0, NULL, &status));
  EXPECT(EMUFORT_ERROR_SHAPE, emufort_predict_f64(emulator, NULL, columns, 4, x, 0, y, -1, NULL, &status));
  EXPECT(EMUFORT_ERROR_SHAPE, emufort_predict_f64(emulator, NULL, features, 4, x, N_IN - 1, y, 0, NULL, &status));
  EXPECT(EMUFORT_ERROR_SHAPE, emufort_predict_f64(emulator, NULL, features, 4, x, 0, y, N_OUT - 1, NULL, &status));
  EXPECT(EMUFORT_ERROR_NOT_LOADED, emufort_self_test(NULL, &status));
  CHECK(emufort_predict_f64(emulator, NULL, columns, 0, NULL, 0, NULL, 0, NULL, &status) == 0);
  CHECK(emufort_predict_f64(NULL, NULL, columns, 4, x, 0, y, 0, NULL, NULL) == EMUFORT_ERROR_NOT_LOADED);

  pond_emulator_inputs_f64 inputs = {x, x + 4, x + 12};
  pond_emulator_outputs_f64 outputs = {y, y + 4};
  EXPECT(EMUFORT_ERROR_SHAPE, pond_emulator_predict_f64(NULL, columns, 4, NULL, &outputs, NULL, &status));
  EXPECT(EMUFORT_ERROR_SHAPE, pond_emulator_predict_f64(NULL, columns, 4, &inputs, NULL, NULL, &status));
  EXPECT(EMUFORT_ERROR_SHAPE, pond_emulator_predict_f64(NULL, columns, -4, &inputs, &outputs, NULL, &status));
  EXPECT(EMUFORT_ERROR_SHAPE, pond_emulator_predict_f64(NULL, 2, 4, &inputs, &outputs, NULL, &status));
  inputs.first_guess = NULL;
  EXPECT(EMUFORT_ERROR_SHAPE, pond_emulator_predict_f64(NULL, columns, 4, &inputs, &outputs, NULL, &status));
  CHECK(pond_emulator_predict_f64(NULL, columns, 0, &inputs, &outputs, NULL, &status) == 0);

  CHECK(emufort_make_workspace(NULL, &status) == NULL && status.code == EMUFORT_ERROR_NOT_LOADED);
  CHECK(emufort_workspace_size(NULL) == 0 && emufort_n_inputs(NULL) == 0 && emufort_n_outputs(NULL) == 0);
  CHECK(!emufort_input_name(NULL, 0) && !emufort_output_units(NULL, 0) && !emufort_contract_json(NULL));
  CHECK(!emufort_input_name(emulator, -1) && !emufort_input_units(emulator, N_IN));
  CHECK(!emufort_output_name(emulator, N_OUT) && !emufort_output_units(emulator, -5));
  emufort_free(NULL);
  emufort_free_workspace(NULL);

  CHECK(!emufort_load(NULL, &status) && status.code == EMUFORT_ERROR_FILE);
  CHECK(!emufort_load("there is no such file", &status) && status.code == EMUFORT_ERROR_FILE);
  CHECK(strstr(status.message, "there is no such file") != NULL);
  CHECK(!emufort_load("", &status) && status.code != 0);
  CHECK(!emufort_load_bytes(NULL, 12, &status) && status.code == EMUFORT_ERROR_SHAPE);
  CHECK(!emufort_load_bytes(bytes, (size_t)-1, &status) && status.code == EMUFORT_ERROR_LIMIT);
  CHECK(!emufort_load_bytes(bytes, 0, &status) && status.code == EMUFORT_ERROR_FORMAT);
  unsigned char *damaged = malloc(length);
  memcpy(damaged, bytes, length);
  damaged[length / 2] ^= 1;
  CHECK(!emufort_load_bytes(damaged, length, &status) && status.code == EMUFORT_ERROR_CHECKSUM);
  CHECK(!emufort_load_bytes(damaged, length, NULL));
  free(damaged);
  for (size_t k = 1; k < length; k += 97)
    CHECK(!emufort_load_bytes(bytes, k, &status) && status.code == EMUFORT_ERROR_FORMAT);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  CHECK(reference_load(argv[1], (int)strlen(argv[1])) == 0);

  FILE *file = fopen(argv[1], "rb");
  static unsigned char bytes[1 << 20];
  const size_t length = file ? fread(bytes, 1, sizeof bytes, file) : 0;
  if (file) fclose(file);
  CHECK(length > 1000 && length < sizeof bytes);

  emufort_status status;
  emufort_emulator *from_bytes = emufort_load_bytes(bytes, length, &status);
  CHECK(from_bytes && status.code == EMUFORT_SUCCESS);
  emufort_emulator *emulator = emufort_load(argv[1], &status);
  CHECK(emulator && status.code == EMUFORT_SUCCESS && status.message[0] == '\0' && status.place[0] == '\0');
  if (!emulator || !from_bytes) return 1;

#ifdef COUNT_ALLOCATIONS
  CHECK(count() > 10);
#endif

  CHECK(emufort_n_inputs(emulator) == N_IN && emufort_n_outputs(emulator) == N_OUT);
  CHECK(strcmp(emufort_input_name(emulator, 0), "wind_speed") == 0);
  CHECK(strcmp(emufort_input_name(emulator, 2), "water_temperature[lower]") == 0);
  CHECK(strcmp(emufort_input_units(emulator, 0), "m s-1") == 0);
  CHECK(strcmp(emufort_output_name(emulator, 0), "evaporation") == 0);
  CHECK(strcmp(emufort_output_units(emulator, 2), "W m-2") == 0);
  CHECK(strstr(emufort_contract_json(emulator), "water_temperature") != NULL);
  CHECK(emufort_self_test(emulator, &status) == 0 && status.code == 0);
  CHECK(strcmp(pond_emulator_hash(), POND_EMULATOR_HASH) == 0);

  CHECK(emufort_workspace_size(emulator) == 0 && pond_emulator_workspace_size() == 0);
  emufort_workspace *workspace = emufort_make_workspace(emulator, &status);
  CHECK(workspace != NULL);
  for (int ncol = 1; ncol <= MOST; ncol += ncol < 40 ? 1 : 43) {
    compare_f64(emulator, NULL, ncol);
    compare_f64(from_bytes, workspace, ncol);
    compare_f32(emulator, workspace, ncol);
  }
  emufort_free_workspace(workspace);
  workspace = pond_emulator_make_workspace(&status);
  CHECK(workspace != NULL);
  compare_f32(from_bytes, workspace, MOST);
  emufort_free_workspace(workspace);
  run_threads(emulator);
  run_errors(emulator, bytes, length);
  emufort_free(from_bytes);
  emufort_free(emulator);
  if (failures == 0) printf("the same bits\n");
  return failures != 0;
}
