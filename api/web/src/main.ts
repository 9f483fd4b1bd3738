// The page: connects, keeps the store, and draws what changed, four times a second at most.
//
//   WebSocket ─► Connection ─► Store.apply ─► what changed ─► views
//   REST ──────► zones once, history after every snapshot, the chosen auction when it changes, health every 10 s

import "./style.css";
import { Connection } from "./connection";
import * as format from "./format";
import { GRANULARITIES, HistoryLoader, type Granularity } from "./history";
import * as rest from "./rest";
import { Store, type Changes, type SeriesState } from "./store";
import type { Message, Zone } from "./wire";
import { Alerts } from "./view/alerts";
import { AuctionView } from "./view/auction";
import { Chart } from "./view/chart";
import { Correlations } from "./view/correlations";
import { byId, make, setClass, setOptions, setText } from "./view/dom";
import { Header } from "./view/header";
import { HealthView } from "./view/health";
import { Kpis } from "./view/kpis";
import { ZoneTable, type ZoneRow } from "./view/zones";

const DRAW_EVERY_MS = 250;
const HEALTH_EVERY_MS = 10_000;
/** When T is this far from the clock, it is a replay: T's age would mean nothing. */
const REPLAY_MS = 3_600_000;

class Page {
  private readonly store = new Store();
  private readonly loader = new HistoryLoader(this.store, () => this.touch());
  private readonly chart = new Chart();
  private readonly kpis = new Kpis();
  private readonly alerts = new Alerts();
  private readonly table = new ZoneTable((zone) => this.chooseZone(zone));
  private readonly correlations = new Correlations(() => this.touch());
  private readonly auction = new AuctionView(this.store.auctions, () => this.store.t, () => this.remember(), () => this.touch());
  private readonly header = new Header(() => this.chart?.restyle());
  private readonly health = new HealthView();
  private readonly connection = new Connection({
    url: rest.socketUrl,
    since: () => this.store.t,
    onMessage: (message) => this.message(message),
    onPhase: (phase) => this.header.connection(phase),
  });
  private readonly zonePicker = byId<HTMLSelectElement>("zone");
  private readonly seriesPicker = byId<HTMLSelectElement>("series");
  private readonly allAlerts = byId<HTMLInputElement>("alerts-all");
  private readonly notices = byId<HTMLInputElement>("alerts-notices");

  private zones: Zone[] = [];
  private zonesTimer: ReturnType<typeof setTimeout> | undefined;
  private headlines = new Map<string, string>();
  private zone: string;
  private wanted: string;
  private granularity: Granularity;
  /** Server's clock minus ours. */
  private clockAhead = 0;
  private fetched = "";
  private alertsDirty = true;
  private pastDirty = false;
  private drawn = 0;
  private scheduled = false;

  constructor() {
    const query = new URLSearchParams(location.search);
    this.zone = query.get("zone") ?? "";
    this.wanted = query.get("series") ?? "";
    this.granularity = GRANULARITIES.find(({ name }) => name === query.get("bars")) ?? GRANULARITIES[0]!;
    this.allAlerts.checked = query.get("alerts") === "all";
    this.notices.checked = query.get("events") !== "off";
    this.auction.choice = query.get("auction") ?? "";
    this.zonePicker.addEventListener("change", () => this.chooseZone(this.zonePicker.value));
    this.seriesPicker.addEventListener("change", () => this.chooseSeries(this.seriesPicker.value));
    for (const box of [this.allAlerts, this.notices]) {
      box.addEventListener("change", () => {
        this.alertsDirty = true;
        this.remember();
        this.touch();
      });
    }
    this.granularityPicker();
  }

  start(): void {
    this.connection.start();
    void this.loadHealth();
    setInterval(() => void this.loadHealth(), HEALTH_EVERY_MS);
    setInterval(() => this.touch(), DRAW_EVERY_MS);
    addEventListener("online", () => this.connection.hurry());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      this.connection.hurry();
      this.auction.wake();
      this.touch();
    });
  }

  /** After every snapshot: the zone table, which series stands for which zone, and then the bars. */
  private async loadZones(): Promise<void> {
    clearTimeout(this.zonesTimer);
    try {
      const [{ zones }, { prices }] = await Promise.all([rest.zones(), rest.latest()]);
      this.zones = zones;
      this.headlines.clear();
      for (const { headline, zone, location, market } of prices) {
        if (headline) this.headlines.set(zone, `${zone}|${location}|${market}`);
      }
      this.loadHistory();
    } catch (error) {
      console.warn("zones:", error);
      this.zonesTimer = setTimeout(() => void this.loadZones(), 3_000);
    }
  }

  private async loadHealth(): Promise<void> {
    this.health.show(await rest.health().catch(() => null));
  }

  private message(message: Message): void {
    if (message.type === "connection_established" || message.type === "heartbeat" || message.type === "pong") {
      this.clockAhead = Date.parse(message.timestamp) - Date.now();
    }
    if (message.type === "error") console.warn("websocket:", message);
    const changes = this.store.apply(message);
    this.note(changes);
  }

  private note(changes: Changes): void {
    if (changes.reset) {
      this.fetched = "";
      this.auction.reset();
      void this.loadZones(); // a restarted server may know others
    }
    if (changes.reset || changes.alerts.length > 0) this.alertsDirty = true;
    if (!changes.reset) {
      for (const alert of changes.alerts) {
        if (this.allAlerts.checked || alert.zone === this.zone || alert.zone === "*") this.alerts.announce(alert);
      }
    }
    this.auction.note(changes.auctions);
    if (changes.past.has(this.chosen()?.key ?? "")) this.pastDirty = true;
    if (changes.reset || changes.series.size > 0 || changes.correlations || changes.alerts.length > 0 || changes.auctions.size > 0) this.touch();
  }

  /** Everything that the chart and the sparklines need from before the snapshot. */
  private loadHistory(): void {
    if (this.store.t === 0 || this.zones.length === 0) return;
    this.loader.reset();
    this.resolveZone();
    this.loadChosen();
    for (const { state } of this.rows()) if (state.key !== this.chosen()?.key) this.loader.sparkline(state);
    this.touch();
  }

  private loadChosen(): void {
    const state = this.chosen();
    if (!state) return;
    this.store.choose(state.key);
    if (this.fetched !== state.key) this.loader.chosen(state);
    this.fetched = state.key;
    this.loader.wide(state, this.granularity);
  }

  /** The zone of the address may be an alias, or none: then the first that has a price. */
  private resolveZone(): void {
    const asked = this.zone.toLowerCase();
    const found = this.zones.find(
      ({ zone, aliases }) => zone.toLowerCase() === asked || aliases?.some((alias) => alias.toLowerCase() === asked),
    );
    this.zone = found?.zone ?? this.rows()[0]?.zone.zone ?? this.zones[0]?.zone ?? "";
  }

  private rows(): ZoneRow[] {
    return this.zones.flatMap((zone) => {
      const state = this.store.ofZone(zone.zone, this.headlines.get(zone.zone))[0];
      return state ? [{ zone, state }] : [];
    });
  }

  private chosen(): SeriesState | undefined {
    const all = this.store.ofZone(this.zone, this.headlines.get(this.zone));
    return all.find((state) => state.key === this.wanted) ?? all[0];
  }

  private timezone(zone: string): string {
    return this.zones.find((known) => known.zone === zone)?.timezone ?? "UTC";
  }

  private chooseZone(zone: string): void {
    this.zone = zone;
    this.auction.follow();
    this.chooseSeries("");
  }

  private chooseSeries(key: string): void {
    this.wanted = key;
    this.alertsDirty = true;
    this.remember();
    this.loadChosen();
    this.draw();
  }

  private remember(): void {
    const url = new URL(location.href);
    url.search = "";
    url.searchParams.set("zone", this.zone);
    if (this.wanted) url.searchParams.set("series", this.wanted);
    if (this.granularity !== GRANULARITIES[0]) url.searchParams.set("bars", this.granularity.name);
    if (this.allAlerts.checked) url.searchParams.set("alerts", "all");
    if (!this.notices.checked) url.searchParams.set("events", "off");
    if (this.auction.choice) url.searchParams.set("auction", this.auction.choice);
    history.replaceState(null, "", url);
  }

  private granularityPicker(): void {
    const box = byId("granularity");
    for (const granularity of GRANULARITIES) {
      const label = make("label");
      const input = make("input");
      input.type = "radio";
      input.name = "granularity";
      input.checked = granularity === this.granularity;
      input.addEventListener("change", () => {
        this.granularity = granularity;
        this.remember();
        this.loadChosen();
        this.draw();
      });
      label.append(input, make("span", "", granularity.label));
      box.append(label);
    }
  }

  /** Draws soon. */
  private touch(): void {
    if (this.scheduled || document.hidden) return;
    this.scheduled = true;
    const wait = Math.max(0, this.drawn + DRAW_EVERY_MS - performance.now());
    setTimeout(() => requestAnimationFrame(() => {
      this.scheduled = false;
      this.draw();
    }), wait);
  }

  private draw(): void {
    this.drawn = performance.now();
    this.header.tick();
    const { t } = this.store;
    if (t === 0 || this.zones.length === 0) return;
    const clock = Date.now() + this.clockAhead;
    const replay = Math.abs(clock - t) > REPLAY_MS;
    const now = replay ? t : clock;
    this.header.time(t, replay ? null : clock - t, this.timezone(this.zone));
    if (this.pastDirty) this.refetchPast();
    const rows = this.rows();
    const state = this.chosen();
    if (state && this.fetched !== state.key) this.loadChosen();
    this.drawPickers(rows, state);
    this.drawPrice(state, now);
    this.auction.show(this.zone, now, (zone) => this.timezone(zone));
    this.table.show(rows, this.zone, now);
    this.correlations.show(this.correlationAxes(rows), this.store.correlations.values());
    if (this.alertsDirty) {
      this.alertsDirty = false;
      const list = this.store.alertList(this.allAlerts.checked ? null : this.zone, this.notices.checked);
      this.alerts.show(list, (zone) => this.timezone(zone), now);
    }
  }

  /** The zones' headline series; with one zone only, the series of its market. */
  private correlationAxes(rows: readonly ZoneRow[]): { label: string; key: string }[] {
    if (rows.length > 1) return rows.map(({ zone, state: { key } }) => ({ label: zone.zone, key }));
    const market = this.chosen()?.series.market;
    const series = this.store.ofZone(this.zone, this.headlines.get(this.zone));
    const same = series.filter((state) => state.series.market === market).slice(0, 20);
    return same.map((state) => ({ label: state.series.location, key: state.key }));
  }

  private drawPickers(rows: readonly ZoneRow[], state: SeriesState | undefined): void {
    const zones = rows.map(({ zone }) => [zone.zone, `${zone.zone} – ${zone.name}`] as const);
    if (!zones.some(([code]) => code === this.zone)) zones.unshift([this.zone, `${this.zone} – no price yet`]);
    setOptions(this.zonePicker, zones, this.zone);
    const series = this.store.ofZone(this.zone, this.headlines.get(this.zone));
    byId("series-label").hidden = series.length < 2;
    const name = ({ series: { location, market } }: SeriesState) => `${location} · ${format.words(market.toLowerCase())}`;
    setOptions(this.seriesPicker, series.map((one) => [one.key, name(one)] as const), state?.key ?? "");
  }

  private drawPrice(state: SeriesState | undefined, now: number): void {
    const currency = state?.series.currency ?? null;
    const title = state && state.series.location !== this.zone ? `${this.zone} ${state.series.location}` : this.zone;
    setText(byId("price-title"), title);
    setText(byId("last"), format.money(state?.price, currency));
    setText(byId("unit"), currency ? `${currency}/MWh` : "");
    const hour = state?.kpis.get(60);
    setText(byId("change"), hour ? `${format.arrow(hour.change)} ${format.signed(hour.change)} (${format.percent(hour.change_percent)}) in 60 min` : "");
    setClass(byId("change"), `change ${format.direction(hour?.change)}`);
    document.title = state ? `${format.money(state.price, currency)} ${title} – OptiBid` : "OptiBid";
    this.kpis.show(state?.kpis ?? new Map(), now);
    const timezone = this.timezone(this.zone);
    const bars = state ? this.loader.bars(state, this.granularity, timezone) : [];
    this.chart.show({ key: `${state?.key}|${this.granularity.name}`, title, bars, timezone, currency });
  }

  /** A correction reached further back than the minutes we keep: the wide bars there are no longer true. */
  private refetchPast(): void {
    this.pastDirty = false;
    const state = this.chosen();
    if (state) this.loader.wide(state, this.granularity, true);
  }
}

new Page().start();
