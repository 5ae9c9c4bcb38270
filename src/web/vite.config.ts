import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const root = fileURLToPath(new URL('.', import.meta.url));

/**
 * Schemas in the page read what comes and describe nothing. What zod has for making JSON schemas of them hangs on every kind of
 * schema, so no bundler finds that nobody calls it: 4 KB of the page's budget.
 */
const NO_JSON_SCHEMAS = '\0no-json-schemas';
const withoutJsonSchemas: Plugin = {
  name: 'without-json-schemas',
  enforce: 'pre',
  apply: 'build',
  resolveId: (asked, by) =>
    asked.endsWith('/to-json-schema.js') && by?.endsWith('/classic/schemas.js') ? NO_JSON_SCHEMAS : null,
  load: (id) =>
    id === NO_JSON_SCHEMAS
      ? `const none = () => () => { throw new Error('The page makes no JSON schemas'); };
         export { none as createStandardJSONSchemaMethod, none as createToJSONSchemaMethod };`
      : null,
  transform: (code, id) =>
    /[\\/]zod[\\/]v4[\\/]classic[\\/]schemas\.js$/.test(id)
      ? { code: code.replace(/^ *inst\._zod\.processJSONSchema = .*;$/gm, ''), map: null }
      : null,
};

/** The page as files that the daemon serves: no inline script, nothing from anywhere else. `npm run dev:web` serves it with reload. */
export default defineConfig({
  root,
  base: '/',
  plugins: [withoutJsonSchemas],
  publicDir: fileURLToPath(new URL('./public', import.meta.url)),
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  // The SDK's schemas are not compiled, for the sake of the page's policy; a process is not there to ask.
  define: { 'process.env.NODE_ENV': '"production"' },
  build: {
    outDir: fileURLToPath(new URL('../../dist/web', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { host: '127.0.0.1', strictPort: false },
});
