// A stand-in for the server, for developing the page: the market of market.mjs behind the same paths.
//
//   npm run mock -- [--port 8000] [--seed 1] [--every 500]   then `npm run dev`, or open its own port (serves dist)
// --break 20 cuts every connection after 20 s, --forget forgets the past (every resume gets a snapshot),
// --corrections 0.3 revises the past more often.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { WebSocketServer } from "ws";
import { Market } from "./market.mjs";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8000" },
    seed: { type: "string", default: "1" },
    every: { type: "string", default: "500" },
    break: { type: "string", default: "0" },
    corrections: { type: "string", default: "0.02" },
    forget: { type: "boolean", default: false },
  },
});
const every = Number(values.every);
const dist = fileURLToPath(new URL("../dist", import.meta.url));
const market = new Market({ seed: Number(values.seed), t: Date.now(), corrections: Number(values.corrections) });
const ring = [];
const sockets = new Set();

const WIDTHS = { "1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000 };
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

function answer(url) {
  const history = /^\/api\/market\/prices\/([^/]+)\/history$/.exec(url.pathname);
  if (url.pathname === "/api/market/zones") return { t: market.t, zones: market.zones };
  if (url.pathname === "/api/market/prices/latest") {
    const prices = market.snapshot().events.filter((event) => event.type === "price_update");
    return { t: market.t, prices: prices.map((price) => ({ ...price, headline: true })) };
  }
  if (history) {
    const width = WIDTHS[url.searchParams.get("granularity") ?? "1m"] ?? WIDTHS["1m"];
    const from = Date.parse(url.searchParams.get("start") ?? "") || market.t - 86_400_000;
    return market.history(decodeURIComponent(history[1]), width, from, Number(url.searchParams.get("limit") ?? 1000));
  }
  if (url.pathname === "/health") {
    const up = (name, detail, state = "up") => ({ name, state, detail, required: true });
    return {
      status: "degraded", version: "0.1.0", t: market.t,
      services: [up("kafka", "9 partitions, lag 0"), up("dataflow", "T is 40 ms behind"), up("redis", "off", "disabled"), up("clickhouse", "connection refused", "down"), up("history", "written up to T")],
      records: { received: 120_000, applied: 118_900, corrected: 700, superseded: 80, duplicates: 200, dead_letters: 120, lost: 0 },
      dead_letters: { bad_json: 100, unknown_zone: 20, from_the_future: 0 },
    };
  }
  return null;
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url ?? "/", "http://mock");
  const found = answer(url);
  if (found) {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(found));
    return;
  }
  const path = normalize(url.pathname === "/" ? "/index.html" : url.pathname);
  try {
    const body = await readFile(join(dist, path));
    response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});

new WebSocketServer({ server }).on("connection", (socket, request) => {
  const url = new URL(request.url ?? "/", "http://mock");
  const since = Number(url.searchParams.get("since") ?? 0);
  const say = (message) => socket.send(JSON.stringify(message));
  say({ type: "connection_established", connection_id: "mock", market_zone: "all", storage_backend: "memory", timestamp: new Date().toISOString(), message: "Connected to all market updates" });
  if (since > 0 && !values.forget && ring.length > 0 && ring[0].t <= since) {
    for (const moment of ring) if (moment.t > since) say(moment);
  } else {
    if (since > 0) say({ type: "resync", reason: "since is too old" });
    say(market.snapshot());
  }
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket));
  if (Number(values.break) > 0) setTimeout(() => socket.terminate(), Number(values.break) * 1000);
});

setInterval(() => {
  const moment = market.step(every);
  ring.push(moment);
  if (ring.length > 240) ring.shift();
  for (const socket of sockets) socket.send(JSON.stringify(moment));
}, every);
setInterval(() => {
  for (const socket of sockets) socket.send(JSON.stringify({ type: "heartbeat", t: market.t, timestamp: new Date().toISOString() }));
}, 15_000);

server.listen(Number(values.port), "127.0.0.1", () => console.log(`mock: http://127.0.0.1:${values.port}`));
