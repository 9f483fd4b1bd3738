// Numbers, money and time as a trader reads them. Undefined is a dash, never a zero.

export const NONE = "–";

const cache = new Map<string, Intl.NumberFormat>();

function formatter(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = JSON.stringify(options);
  let found = cache.get(key);
  if (!found) {
    found = new Intl.NumberFormat(undefined, options);
    cache.set(key, found);
  }
  return found;
}

const missing = (value: number | null | undefined): value is null | undefined =>
  value === null || value === undefined || !Number.isFinite(value);

/** A price with its currency's sign, e.g. $52.50 or ₹4,150.00. */
export function money(value: number | null | undefined, currency: string | null): string {
  if (missing(value)) return NONE;
  if (!currency) return number(value, 2);
  return formatter({ style: "currency", currency, currencyDisplay: "narrowSymbol", minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value);
}

/** A price that an auction cleared at: as exact as it is, which may be half a tick. */
export function price(value: number | null | undefined, currency: string | null): string {
  if (missing(value)) return NONE;
  const style = currency ? ({ style: "currency", currency, currencyDisplay: "narrowSymbol" } as const) : {};
  return formatter({ ...style, minimumFractionDigits: 2, maximumFractionDigits: 3 }).format(value);
}

export function number(value: number | null | undefined, digits = 0): string {
  return missing(value) ? NONE : formatter({ minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** A signed number, e.g. +1.25: the sign says it, colour only repeats it. */
export function signed(value: number | null | undefined, digits = 2): string {
  if (missing(value)) return NONE;
  return formatter({ minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: "exceptZero" }).format(value);
}

export const percent = (value: number | null | undefined): string => (missing(value) ? NONE : `${signed(value, 2)} %`);

/** Short form of a large number, e.g. 12.4K. */
export function compact(value: number | null | undefined): string {
  return missing(value) ? NONE : formatter({ notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/** Power; tenths only where they say something. */
export function power(mw: number | null | undefined): string {
  return missing(mw) ? NONE : `${number(mw, Math.abs(mw) < 100 && !Number.isInteger(mw) ? 1 : 0)} MW`;
}

/** A sum of money: whole, and from a million on in short, e.g. €7.53M. */
export function amount(value: number | null | undefined, currency: string | null): string {
  if (missing(value)) return NONE;
  const style = currency ? ({ style: "currency", currency, currencyDisplay: "narrowSymbol" } as const) : {};
  const short = Math.abs(value) >= 1_000_000;
  return formatter({ ...style, notation: short ? "compact" : "standard", minimumFractionDigits: short ? 2 : 0, maximumFractionDigits: short ? 2 : 0 }).format(value);
}

/** An axis label: as many decimals as the distance of the ticks has. */
export function tick(value: number, step: number): string {
  const digits = [0, 1, 2, 3].find((n) => Math.abs(step * 10 ** n - Math.round(step * 10 ** n)) < 1e-6) ?? 4;
  return number(value === 0 ? 0 : value, digits);
}

/** up, down or flat: the class that colours a change. */
export function direction(value: number | null | undefined): "up" | "down" | "flat" {
  return missing(value) || value === 0 ? "flat" : value > 0 ? "up" : "down";
}

export const arrow = (value: number | null | undefined): string => ({ up: "▲", down: "▼", flat: "" })[direction(value)];

/** How long, in the largest fitting unit: 0.4 s, 12 s, 3 min, 2 h, 5 d. */
export function span(ms: number): string {
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.floor(s)} s`;
  if (s < 7_200) return `${Math.floor(s / 60)} min`;
  if (s < 172_800) return `${Math.floor(s / 3_600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

const clocks = new Map<string, Intl.DateTimeFormat>();

/** Time of day in a zone, with the date when it is not `today`'s. */
export function clock(ms: number, timezone: string, seconds = false, today?: number): string {
  const day = (at: number) => inZone(at, timezone, { year: "numeric", month: "2-digit", day: "2-digit" });
  const time = inZone(ms, timezone, { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}), hourCycle: "h23" });
  if (today !== undefined && day(ms) === day(today)) return time;
  return `${inZone(ms, timezone, { day: "numeric", month: "short", year: "numeric" })}, ${time}`;
}

/** The date in a zone. */
export const day = (ms: number, timezone: string): string => inZone(ms, timezone, { weekday: "short", day: "numeric", month: "short", year: "numeric" });

function inZone(ms: number, timezone: string, options: Intl.DateTimeFormatOptions): string {
  const key = timezone + JSON.stringify(options);
  let found = clocks.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(undefined, { timeZone: timezone, ...options });
    clocks.set(key, found);
  }
  return found.format(ms);
}

/** Offset of a zone's clock from UTC at an instant, ms. */
export function offset(ms: number, timezone: string): number {
  const parts = new Intl.DateTimeFormat("en-US", { timeZone: timezone, timeZoneName: "longOffset" }).formatToParts(ms);
  const found = /GMT([+-])(\d\d):(\d\d)/.exec(parts.find((part) => part.type === "timeZoneName")?.value ?? "");
  if (!found) return 0;
  return (found[1] === "-" ? -1 : 1) * (Number(found[2]) * 60 + Number(found[3])) * 60_000;
}

/** `robust_z_score` for people. */
export const words = (name: string): string => name.replaceAll("_", " ");
