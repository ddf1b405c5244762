import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    environment: 'jsdom',
    include: ['tests/widget/**/*.test.{ts,tsx}'],
    setupFiles: ['tests/widget/setup.ts'],
    env: { TZ: 'UTC' },
    // A machine with other work is slower, not wrong.
    testTimeout: 30_000
  }
});
