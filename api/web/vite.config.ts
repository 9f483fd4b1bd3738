import { defineConfig } from "vitest/config";

// `npm run dev` serves the page from source and passes everything else to a running OptiBid (or `npm run mock`).
const server = process.env["OPTIBID_URL"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "/",
  build: { target: "es2022", assetsInlineLimit: 0, sourcemap: false, reportCompressedSize: true },
  // Generous: a machine that compiles at the same time is slow, not wrong.
  test: { testTimeout: 120_000 },
  server: {
    proxy: {
      "/api": { target: server, ws: true, changeOrigin: true },
      "/health": { target: server },
    },
  },
});
