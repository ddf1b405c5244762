import js from '@eslint/js';
import prettier from 'eslint-config-prettier';
import reactHooks from 'eslint-plugin-react-hooks';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  globalIgnores(['.*/**', 'lib/**', 'kernel/**', 'dist/**', 'build/**']),
  js.configs.recommended,
  {
    files: ['**/*.{ts,tsx,mts}'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: 'tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      eqeqeq: 'error'
    }
  },
  {
    // JupyterLab's convention for command names.
    files: ['labextension/src/index.ts'],
    rules: { '@typescript-eslint/no-namespace': 'off' }
  },
  {
    // Lumino's signals take a method and its object: connect(this.update, this).
    files: ['labextension/src/*.ts'],
    rules: { '@typescript-eslint/unbound-method': 'off' }
  },
  {
    files: ['labextension/src/widget/**', 'tests/widget/**'],
    extends: [reactHooks.configs.flat.recommended]
  },
  {
    // A test that finds nothing where something must be is red either way.
    files: ['tests/widget/**'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off' }
  },
  {
    files: ['labextension/src/widget/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [{ group: ['@jupyterlab/*', '@lumino/*'], message: 'Views also run in hosts without JupyterLab.' }]
        }
      ]
    }
  },
  prettier
);
