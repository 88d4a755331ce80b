import { defineConfig } from 'vitest/config';

const SECOND = 1000;
/** Tests against other programs, which are fetched from Debian when the cache lacks them. */
const PEERS = 'test/analysis/pwntools/*.test.ts';

const ONE_GUEST_AT_A_TIME = {
  pool: 'forks',
  fileParallelism: false,
  maxWorkers: 1,
  testTimeout: 180 * SECOND,
  hookTimeout: 300 * SECOND,
} as const;

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/guest/**', 'test/detours-in-guests/**', PEERS],
          setupFiles: ['test/support/fixed-seed.ts'],
        },
      },
      {
        test: {
          name: 'peers',
          include: [PEERS],
        },
      },
      { test: { name: 'guest', include: ['test/guest/**/*.test.ts'], ...ONE_GUEST_AT_A_TIME } },
      { test: { name: 'detours', include: ['test/detours-in-guests/**/*.test.ts'], ...ONE_GUEST_AT_A_TIME } },
    ],
  },
});
