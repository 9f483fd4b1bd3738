// A small market for developing and testing the page without the server: it ticks, corrects its past, raises and
// withdraws alerts, and knows at every T what the truth is. Same seed, same market.
//
// `step()` closes one moment and returns its events, `snapshot()` is the sum of all of them, `history()` what the
// REST interface would answer. The shapes are those of src/wire.ts.

const MINUTE = 60_000;

export const ZONES = [
  { zone: "PJM", name: "PJM Interconnection", timezone: "America/New_York", currency: "USD", base: 42 },
  { zone: "CAISO", name: "California ISO", timezone: "America/Los_Angeles", currency: "USD", base: 38 },
  { zone: "ERCOT", name: "Electric Reliability Council of Texas", timezone: "America/Chicago", currency: "USD", base: 31 },
  { zone: "NYISO", name: "New York ISO", timezone: "America/New_York", currency: "USD", base: 47 },
  { zone: "MISO", name: "Midcontinent ISO", timezone: "Etc/GMT+5", currency: "USD", base: 34 },
  { zone: "SPP", name: "Southwest Power Pool", timezone: "America/Chicago", currency: "USD", base: 9 },
  { zone: "IEX-W2", name: "IEX West 2", timezone: "Asia/Kolkata", currency: "INR", base: 4150 },
  { zone: "IEX-N2", name: "IEX North 2", timezone: "Asia/Kolkata", currency: "INR", base: 4620 },
  { zone: "IEX-S1", name: "IEX South 1", timezone: "Asia/Kolkata", currency: "INR", base: 3980 },
];

/** A seeded random number generator (mulberry32). */
export function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const iso = (ms) => new Date(ms).toISOString();
const cents = (value) => Math.round(value * 100) / 100;

export class Market {
  /** `t`: the first moment, UTC ms; `hours` of past before it. */
  constructor({ seed = 1, t, hours = 25, zones = ZONES, corrections = 0.02 }) {
    this.random = random(seed);
    this.t = t;
    this.corrections = corrections;
    this.zones = zones;
    this.common = 0;
    this.books = zones.map((zone) => ({
      zone,
      series: { zone: zone.zone, location: zone.zone, market: "CONTINUOUS", currency: zone.currency },
      price: zone.base,
      jump: 0,
      bars: new Map(), // start → bar as on the wire, with `t` and `last`
      kpis: new Map(),
    }));
    this.alerts = new Map();
    this.correlations = new Map();
    for (let minute = t - hours * 60 * MINUTE; minute < t; minute += MINUTE) {
      this.move();
      for (const book of this.books) {
        for (let tick = 0; tick < 4; tick += 1) {
          this.wander(book);
          this.tick(book, minute + tick * 15_000, minute);
        }
      }
    }
    for (const book of this.books) this.figures(book);
    this.pairs();
  }

  gauss() {
    return Math.sqrt(-2 * Math.log(1 - this.random())) * Math.cos(2 * Math.PI * this.random());
  }

  move() {
    this.common = this.common * 0.97 + this.gauss() * 0.012;
  }

  wander(book) {
    const { base } = book.zone;
    if (this.random() < 0.0006) book.jump = (this.random() < 0.7 ? 1 : -1) * (0.4 + this.random());
    book.jump *= 0.97;
    const target = base * (1 + this.common + book.jump);
    book.price += (target - book.price) * 0.08 + this.gauss() * base * 0.006;
  }

  /** Adds a tick; returns the bar it fell into. */
  tick(book, at, t, price = cents(book.price), volume = Math.round(20 + 60 * this.random())) {
    const start = Math.floor(at / MINUTE) * MINUTE;
    const old = book.bars.get(start);
    const bar = old
      ? { ...old, high: Math.max(old.high, price), low: Math.min(old.low, price), close: price, sum: old.sum + price, count: old.count + 1, worth: old.worth + price * volume, volume: old.volume + volume, last: at, t }
      : { start, open: price, high: price, low: price, close: price, sum: price, count: 1, worth: price * volume, volume, last: at, t };
    book.bars.set(start, bar);
    return bar;
  }

  newest(book) {
    return book.bars.size > 0 ? book.bars.get(Math.max(...book.bars.keys())) : undefined;
  }

  /** One moment: ticks, now and then a correction or a withdrawal, what follows from them. */
  step(ms = 500) {
    this.t += ms;
    this.move();
    const events = [];
    for (const book of this.books) {
      if (this.random() < 0.35) continue;
      this.wander(book);
      const bar = this.tick(book, this.t - Math.floor(this.random() * 200), this.t);
      events.push(bar === this.newest(book) ? this.priceUpdate(book, bar) : this.barUpdate(book, bar, false));
      if (this.random() < this.corrections) events.push(...this.correct(book));
      this.figures(book);
      events.push(...[...book.kpis.values()].map((kpi) => ({ type: "kpi_update", t: this.t, ...kpi, removed: false })));
      events.push(...this.judge(book, bar));
    }
    if (this.random() < 0.05) {
      this.pairs();
      events.push(...[...this.correlations.values()].map((row) => ({ type: "correlation_update", t: this.t, ...row, removed: false })));
    }
    return { type: "batch", t: this.t, events };
  }

  /** Puts a past minute right, or withdraws it; alerts on it follow. */
  correct(book) {
    const starts = [...book.bars.keys()].sort((a, b) => b - a);
    const start = starts[1 + Math.floor(this.random() * 12)];
    const bar = book.bars.get(start);
    if (!bar) return [];
    const events = [];
    if (this.random() < 0.1) {
      book.bars.delete(start);
      events.push(this.barUpdate(book, { ...bar, t: this.t }, true));
    } else {
      const close = cents(bar.close * (1 + this.gauss() * 0.05));
      const fixed = { ...bar, close, high: Math.max(bar.high, close), low: Math.min(bar.low, close), t: this.t };
      book.bars.set(start, fixed);
      events.push(this.barUpdate(book, fixed, false));
    }
    for (const alert of this.alerts.values()) {
      if (alert.zone !== book.zone.zone || Date.parse(alert.timestamp) !== start || alert.state === "withdrawn") continue;
      const changed = { ...alert, state: this.random() < 0.5 ? "withdrawn" : "revised", revision: alert.revision + 1, changed_t: this.t };
      this.alerts.set(alert.id, changed);
      events.push({ type: "market_alert", t: this.t, ...changed });
    }
    return events;
  }

  judge(book, bar) {
    const kpi = book.kpis.get(60);
    const z = kpi && kpi.volatility ? (bar.close - kpi.mean) / (kpi.volatility * 3) : 0;
    if (Math.abs(z) < 2.5) return [];
    const id = `${book.zone.zone}-${bar.start}`;
    const old = this.alerts.get(id);
    if (old && old.state !== "withdrawn" && old.value === bar.close) return [];
    const alert = {
      id, ...book.series, alert_type: "z_score", severity: Math.abs(z) > 4 ? "critical" : "warning",
      state: old ? "revised" : "raised", rule: "price z-score", message: `${book.zone.zone} z score`, timestamp: iso(bar.start),
      value: bar.close, baseline: kpi.mean, z_score: cents(z), threshold: 2.5,
      raised_t: old?.raised_t ?? this.t, changed_t: this.t, revision: (old?.revision ?? -1) + 1,
    };
    this.alerts.set(id, alert);
    return [{ type: "market_alert", t: this.t, ...alert }];
  }

  figures(book) {
    const all = [...book.bars.values()].sort((a, b) => a.start - b.start);
    for (const window of [5, 60, 1440]) {
      const bars = all.filter((bar) => bar.start > this.t - window * MINUTE);
      const [first, last] = [bars[0], bars.at(-1)];
      if (!first || !last) {
        book.kpis.delete(window);
        continue;
      }
      const total = (field) => bars.reduce((sum, bar) => sum + bar[field], 0);
      const steps = bars.slice(1).map((bar, i) => bar.close - bars[i].close);
      const mean = steps.reduce((a, b) => a + b, 0) / (steps.length || 1);
      const variance = steps.reduce((sum, step) => sum + (step - mean) ** 2, 0) / Math.max(1, steps.length - 1);
      const change = last.close - first.open;
      book.kpis.set(window, {
        ...book.series, window_minutes: window, last: last.close, last_time: iso(last.last), change: cents(change),
        change_percent: first.open === 0 ? null : (100 * change) / Math.abs(first.open),
        min: Math.min(...bars.map((bar) => bar.low)), max: Math.max(...bars.map((bar) => bar.high)),
        mean: total("sum") / total("count"), vwap: total("worth") / total("volume"),
        volatility: bars.length > 2 ? Math.sqrt(variance) : null, volume: total("volume"), count: total("count"),
        spread: book.zone.zone === "SPP" ? null : cents(this.gauss()),
      });
    }
  }

  pairs() {
    for (const [i, a] of this.books.entries()) {
      for (const b of this.books.slice(i + 1)) {
        for (const window of [60, 1440]) {
          const r = a.zone.currency === b.zone.currency ? 0.35 + 0.6 * this.random() : -0.6 + 0.9 * this.random();
          const row = { a: a.series, b: b.series, window_minutes: window, lag_minutes: 0, count: window, correlation: r };
          this.correlations.set(`${a.zone.zone}~${b.zone.zone}~${window}`, row);
        }
      }
    }
  }

  wire(bar) {
    const { start, open, high, low, close, sum, count, worth, volume } = bar;
    return { start: iso(start), end: iso(start + MINUTE), open, high, low, close, mean: sum / count, vwap: volume > 0 ? worth / volume : null, volume, count, volatility: null };
  }

  priceUpdate(book, bar) {
    return { type: "price_update", market_zone: book.zone.zone.toLowerCase(), t: bar.t, ...book.series, price: bar.close, volume: bar.volume, timestamp: iso(bar.last), bar: this.wire(bar) };
  }

  barUpdate(book, bar, removed) {
    return { type: "bar_update", market_zone: book.zone.zone.toLowerCase(), t: bar.t, ...book.series, removed, bar: this.wire(bar) };
  }

  snapshot() {
    const prices = this.books.flatMap((book) => (book.bars.size > 0 ? [this.priceUpdate(book, this.newest(book))] : []));
    const kpis = this.books.flatMap((book) => [...book.kpis.values()]).map((kpi) => ({ type: "kpi_update", t: this.t, ...kpi, removed: false }));
    const alerts = [...this.alerts.values()].filter((alert) => alert.state !== "withdrawn").map((alert) => ({ type: "market_alert", t: alert.changed_t, ...alert }));
    const rows = [...this.correlations.values()].map((row) => ({ type: "correlation_update", t: this.t, ...row, removed: false }));
    return { type: "snapshot", t: this.t, zones: [], channels: [], events: [...prices, ...kpis, ...alerts, ...rows] };
  }

  /** Bars of a zone from `from` on, `width` ms wide, the newest `limit`. */
  history(code, width, from, limit) {
    const book = this.books.find((found) => found.zone.zone.toLowerCase() === code.toLowerCase());
    if (!book) return null;
    const offset = book.zone.currency === "INR" ? 30 * MINUTE : 0;
    const buckets = new Map();
    for (const bar of [...book.bars.values()].sort((a, b) => a.start - b.start)) {
      const start = Math.floor((bar.start + offset) / width) * width - offset;
      if (bar.start < from) continue;
      const old = buckets.get(start);
      buckets.set(start, old
        ? { ...old, high: Math.max(old.high, bar.high), low: Math.min(old.low, bar.low), close: bar.close, sum: old.sum + bar.sum, count: old.count + bar.count, worth: old.worth + bar.worth, volume: old.volume + bar.volume }
        : { ...bar, start });
    }
    const data = [...buckets.values()].slice(-limit).map((bar) => ({ ...this.wire(bar), end: iso(bar.start + width) }));
    return { market_zone: code, t: this.t, series: book.series, data };
  }
}
