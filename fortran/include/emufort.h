/* SPDX-License-Identifier: Apache-2.0
 *
 * emufort.h: run a neural emulator from C (C99) or C++.
 *
 *   emufort_status status;
 *   emufort_emulator *emulator = emufort_load("weights.bin", &status);
 *   if (!emulator) fprintf(stderr, "%s\n", status.message);
 *   emufort_predict_f64(emulator, NULL, EMUFORT_FEATURES_CONTIGUOUS, ncol, x, 0, y, 0, NULL, &status);
 *   emufort_free(emulator);
 *
 * No function prints, stops the program or throws. A function that returns an int returns status->code. The status may
 * be a null pointer. Null handles and null arrays are errors, except where a comment allows them.
 *
 * Threads: after emufort_load an emulator is constant, so any number of threads may use it at the same time. Only
 * emufort_free needs it alone. Each thread needs its own status and its own workspace.
 *
 * emufort_predict allocates no memory and uses at most 128 kB of stack. The bits of a column do not depend on the
 * number of columns, its position, the layout, the workspace or the thread, and are those of the Fortran interface.
 */
#ifndef EMUFORT_H
#define EMUFORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Codes of a status, the same as in Fortran. */
enum {
  EMUFORT_SUCCESS = 0,          /* no error */
  EMUFORT_ERROR_FILE = 1,       /* a file cannot be opened or read */
  EMUFORT_ERROR_FORMAT = 2,     /* not a weights file, or an inconsistent one */
  EMUFORT_ERROR_VERSION = 3,    /* a weights file of another format version or byte order */
  EMUFORT_ERROR_CHECKSUM = 4,   /* a weights file that was damaged */
  EMUFORT_ERROR_LIMIT = 5,      /* larger than this build of the runtime allows */
  EMUFORT_ERROR_SHAPE = 6,      /* an array of the wrong shape, or a null pointer instead of an array */
  EMUFORT_ERROR_CONTRACT = 7,   /* the variables of the host are not those of the emulator */
  EMUFORT_ERROR_SELF_TEST = 8,  /* the golden vectors are not reproduced */
  EMUFORT_ERROR_NOT_LOADED = 9  /* the emulator has no network, or is a null pointer */
};

/* Outcome of a call. Values out of range and invalid values are counted; they are not an error. */
typedef struct emufort_status {
  int code;          /* one of the codes above */
  int64_t n_clipped; /* input values that were clipped to the range of the contract */
  int64_t n_invalid; /* columns with a NaN or infinite input; all their outputs are NaN */
  char place[40];    /* procedure that reports the error; empty for success */
  char message[168]; /* one line that says what is wrong; empty for success */
} emufort_status;

/* Layouts of the arrays of a prediction. The leading dimension is the distance between the starts of two features or of
 * two columns, in elements; 0 stands for the smallest one. */
enum {
  EMUFORT_COLUMNS_CONTIGUOUS = 0, /* feature j of column i is x[i + j * leading], x(ncol, n) of Fortran, leading >= ncol */
  EMUFORT_FEATURES_CONTIGUOUS = 1 /* feature j of column i is x[j + i * leading], x[ncol][n] of C, leading >= n */
};

typedef struct emufort_emulator emufort_emulator;   /* a loaded emulator */
typedef struct emufort_workspace emufort_workspace; /* memory of one thread for wide networks */

/* ---- load and free */

/* Load weights.bin of a bundle. Returns a null pointer if there is an error. */
emufort_emulator *emufort_load(const char *path, emufort_status *status);

/* Load the content of weights.bin, such as after a broadcast. Damaged content gives an error, nothing else. The bytes
 * are not used after the call. */
emufort_emulator *emufort_load_bytes(const void *bytes, size_t length, emufort_status *status);

/* Free an emulator; its texts become invalid. A null pointer is allowed. */
void emufort_free(emufort_emulator *emulator);

/* ---- what the emulator takes and gives */

int emufort_n_inputs(const emufort_emulator *emulator);  /* 0 for a null pointer */
int emufort_n_outputs(const emufort_emulator *emulator); /* 0 for a null pointer */

/* Names, such as "number_concentration[aitken]", and units, such as "m-3", of input or output i, counted from 0. UTF-8;
 * valid until emufort_free; a null pointer if there is no such column. */
const char *emufort_input_name(const emufort_emulator *emulator, int i);
const char *emufort_input_units(const emufort_emulator *emulator, int i);
const char *emufort_output_name(const emufort_emulator *emulator, int i);
const char *emufort_output_units(const emufort_emulator *emulator, int i);

/* The contract as JSON: ranges, transforms, parameters. Valid until emufort_free. */
const char *emufort_contract_json(const emufort_emulator *emulator);

/* Reproduce the golden vectors in weights.bin, as blocks and one column at a time. Call it once before a run. */
int emufort_self_test(const emufort_emulator *emulator, emufort_status *status);

/* ---- workspaces: only for wide networks, which are faster with one; the results are the same */

/* Bytes of the workspace of one thread; 0 if the emulator needs none. */
size_t emufort_workspace_size(const emufort_emulator *emulator);

/* Make the workspace of one thread. Returns a null pointer if there is an error. */
emufort_workspace *emufort_make_workspace(const emufort_emulator *emulator, emufort_status *status);

/* Free a workspace. A null pointer is allowed. */
void emufort_free_workspace(emufort_workspace *workspace);

/* ---- predict */

/* Predict ncol columns from arrays in double (f64) or single (f32) precision.
 *
 *   workspace        of this thread, or a null pointer
 *   layout           EMUFORT_COLUMNS_CONTIGUOUS or EMUFORT_FEATURES_CONTIGUOUS, for both arrays
 *   inputs           in the order and the units of the contract
 *   input_leading    leading dimension of the inputs, or 0
 *   outputs          in the order and the units of the contract; must not overlap the inputs
 *   output_leading   leading dimension of the outputs, or 0
 *   is_outside       ncol values: whether an input of the column was out of range or invalid; or a null pointer
 */
int emufort_predict_f64(const emufort_emulator *emulator, emufort_workspace *workspace, int layout, int ncol,
                        const double *inputs, int input_leading, double *outputs, int output_leading, bool *is_outside,
                        emufort_status *status);
int emufort_predict_f32(const emufort_emulator *emulator, emufort_workspace *workspace, int layout, int ncol,
                        const float *inputs, int input_leading, float *outputs, int output_leading, bool *is_outside,
                        emufort_status *status);

#ifdef __cplusplus
}
#endif

#endif
