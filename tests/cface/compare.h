/* Compares one precision with the Fortran interfaces; interface.c includes it with REAL and NAME. */

static void NAME(compare_)(const emufort_emulator *emulator, emufort_workspace *workspace, int ncol) {
  static double wide[MOST * N_IN];
  static REAL x[MOST * N_IN], wanted[MOST * N_OUT], y[(MOST + GAP) * (N_OUT + GAP)], turned[MOST * (N_IN + GAP)];
  static bool outside[MOST], again[MOST];
  emufort_status status;
  fill(ncol, wide);
  for (int k = 0; k < ncol * N_IN; ++k) x[k] = (REAL)wide[k];
  CHECK(NAME(reference_)(ncol, x, wanted) == 0);
  for (int i = 0; i < ncol; ++i)
    for (int j = 0; j < N_IN; ++j) turned[j + i * (N_IN + GAP)] = x[i + j * ncol];
  /* columns contiguous, with and without the mask */
  long before = count();
  CHECK(NAME(emufort_predict_)(emulator, workspace, EMUFORT_COLUMNS_CONTIGUOUS, ncol, x, 0, y, 0, NULL, &status) == 0);
  CHECK(same(y, wanted, sizeof(REAL) * (size_t)(ncol * N_OUT)));
  const long long clipped = status.n_clipped, invalid = status.n_invalid;
  memset(y, 0, sizeof y);
  CHECK(NAME(emufort_predict_)(emulator, workspace, EMUFORT_COLUMNS_CONTIGUOUS, ncol, x, ncol, y, ncol + GAP,
                               outside, &status) == 0);
  CHECK(status.n_clipped == clipped && status.n_invalid == invalid);
  for (int j = 0; j < N_OUT; ++j)
    CHECK(same(y + j * (ncol + GAP), wanted + j * ncol, sizeof(REAL) * (size_t)ncol));
  for (int i = 0; i < ncol; ++i) CHECK(outside[i] == (i % 11 == 7 || i % 17 == 5));
  /* features contiguous, with gaps */
  for (int with_mask = 0; with_mask < 2; ++with_mask) {
    memset(y, 0, sizeof y);
    memset(again, 0, sizeof again);
    CHECK(NAME(emufort_predict_)(emulator, workspace, EMUFORT_FEATURES_CONTIGUOUS, ncol, turned, N_IN + GAP, y, 0,
                                 with_mask ? again : NULL, &status) == 0);
    CHECK(status.n_clipped == clipped && status.n_invalid == invalid);
    for (int i = 0; i < ncol; ++i)
      for (int j = 0; j < N_OUT; ++j)
        CHECK(same(y + j + i * N_OUT, wanted + i + j * ncol, sizeof(REAL)));
  }
  CHECK(same(outside, again, sizeof(bool) * (size_t)ncol));
  /* the typed function */
  static REAL rate[MOST], heat[2 * MOST], layers[2 * MOST];
  NAME(pond_emulator_inputs_) inputs = {
      .wind_speed = x, .water_temperature = x + ncol, .first_guess = x + 3 * ncol};
  const NAME(pond_emulator_outputs_) outputs = {.evaporation = rate, .heat_flux = heat};
  CHECK(NAME(pond_emulator_predict_)(workspace, EMUFORT_COLUMNS_CONTIGUOUS, ncol, &inputs, &outputs, NULL, &status) == 0);
  CHECK(status.n_clipped == clipped && status.n_invalid == invalid && status.message[0] == '\0');
  CHECK(same(rate, wanted, sizeof(REAL) * (size_t)ncol));
  CHECK(same(heat, wanted + ncol, sizeof(REAL) * (size_t)(2 * ncol)));
  for (int i = 0; i < ncol; ++i)
    for (int j = 0; j < 2; ++j) layers[j + 2 * i] = x[i + (1 + j) * ncol];
  inputs.water_temperature = layers;
  memset(again, 0, sizeof again);
  CHECK(NAME(pond_emulator_predict_)(NULL, EMUFORT_FEATURES_CONTIGUOUS, ncol, &inputs, &outputs, again, NULL) == 0);
  CHECK(same(outside, again, sizeof(bool) * (size_t)ncol));
  CHECK(same(rate, wanted, sizeof(REAL) * (size_t)ncol));
  for (int i = 0; i < ncol; ++i)
    for (int j = 0; j < 2; ++j)
      CHECK(same(heat + j + 2 * i, wanted + i + (1 + j) * ncol, sizeof(REAL)));
  CHECK(count() == before);
}
