import fc from 'fast-check';

/** Property tests draw the same values in every run, unless UNDERWATCH_SEED names another series. */
fc.configureGlobal({ seed: Number(process.env.UNDERWATCH_SEED ?? 20_261_122) });
