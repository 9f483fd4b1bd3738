-- What an organisation has: sites on the map, and on them assets with the technical data of their kind.
--
-- A row of a tenant refers to others by (organisation_id, id), so that no reference can lead to another tenant.

CREATE TABLE sites (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    name text NOT NULL CHECK (is_name(name)),
    description text NOT NULL DEFAULT '' CHECK (is_text(description, 2000)),
    address text CHECK (is_text(address, 500)),
    country text CHECK (country ~ '^[A-Z]{2}$'),
    latitude double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    point geography(Point, 4326) NOT NULL GENERATED ALWAYS AS (ST_SetSRID(ST_MakePoint(longitude, latitude), 4326)::geography) STORED,
    timezone text NOT NULL CHECK (is_name(timezone, 64)),
    zone text REFERENCES zones (code),
    location text CHECK (is_name(location, 256)),
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, id),
    UNIQUE (organisation_id, name)
);
COMMENT ON TABLE sites IS 'places with assets; zone and location: where what is generated there is sold';
CREATE INDEX sites_by_place ON sites USING gist (point);
-- PostGIS' operators are not leakproof, so under row-level security the index above is for the owner's jobs. What a tenant asks
-- is narrowed by latitude first.
CREATE INDEX sites_by_latitude ON sites (organisation_id, latitude);
CREATE INDEX sites_by_time ON sites (organisation_id, created_time, id);
CREATE INDEX sites_by_zone ON sites (zone);

CREATE TABLE assets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    site_id uuid NOT NULL,
    code text NOT NULL CHECK (is_name(code, 64)),
    name text NOT NULL CHECK (is_name(name)),
    description text NOT NULL DEFAULT '' CHECK (is_text(description, 2000)),
    kind text NOT NULL CHECK (kind IN ('solar', 'wind', 'thermal', 'storage')),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('planned', 'active', 'maintenance', 'retired')),
    capacity_mw double precision NOT NULL CHECK (capacity_mw > 0 AND capacity_mw <= 100000),
    commissioned_date date CHECK (commissioned_date BETWEEN '1900-01-01' AND '2100-01-01'),
    -- storage
    energy_mwh double precision CHECK (energy_mwh > 0 AND energy_mwh <= 10000000),
    charge_mw double precision CHECK (charge_mw > 0 AND charge_mw <= 100000),
    discharge_mw double precision CHECK (discharge_mw > 0 AND discharge_mw <= 100000),
    efficiency_percent double precision CHECK (efficiency_percent > 0 AND efficiency_percent <= 100),
    soc_min_percent double precision CHECK (soc_min_percent BETWEEN 0 AND 100),
    soc_max_percent double precision CHECK (soc_max_percent BETWEEN 0 AND 100),
    -- thermal; costs in currency
    fuel text CHECK (fuel IN ('gas', 'coal', 'oil', 'biomass', 'nuclear', 'hydrogen', 'geothermal', 'other')),
    min_load_mw double precision CHECK (min_load_mw BETWEEN 0 AND 100000),
    ramp_mw_per_min double precision CHECK (ramp_mw_per_min > 0 AND ramp_mw_per_min <= 100000),
    start_cost_cold double precision CHECK (start_cost_cold BETWEEN 0 AND 1e9),
    start_cost_warm double precision CHECK (start_cost_warm BETWEEN 0 AND 1e9),
    start_cost_hot double precision CHECK (start_cost_hot BETWEEN 0 AND 1e9),
    variable_cost_per_mwh double precision CHECK (variable_cost_per_mwh BETWEEN 0 AND 1e6),
    min_up_min integer CHECK (min_up_min BETWEEN 0 AND 100000),
    min_down_min integer CHECK (min_down_min BETWEEN 0 AND 100000),
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    -- solar
    dc_mw double precision CHECK (dc_mw > 0 AND dc_mw <= 100000),
    tilt_degrees double precision CHECK (tilt_degrees BETWEEN 0 AND 90),
    azimuth_degrees double precision CHECK (azimuth_degrees >= 0 AND azimuth_degrees < 360),
    -- wind
    hub_height_m double precision CHECK (hub_height_m BETWEEN 1 AND 500),
    rotor_diameter_m double precision CHECK (rotor_diameter_m BETWEEN 1 AND 500),
    turbines integer CHECK (turbines BETWEEN 1 AND 10000),
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, id),
    UNIQUE (organisation_id, code),
    FOREIGN KEY (organisation_id, site_id) REFERENCES sites (organisation_id, id),
    CONSTRAINT assets_storage_data CHECK (CASE WHEN kind = 'storage'
        THEN num_nulls(energy_mwh, charge_mw, discharge_mw, efficiency_percent, soc_min_percent, soc_max_percent) = 0
        ELSE num_nonnulls(energy_mwh, charge_mw, discharge_mw, efficiency_percent, soc_min_percent, soc_max_percent) = 0 END),
    CONSTRAINT assets_storage_bounds CHECK (soc_min_percent < soc_max_percent AND charge_mw <= capacity_mw AND discharge_mw <= capacity_mw),
    CONSTRAINT assets_thermal_data CHECK (CASE WHEN kind = 'thermal'
        THEN num_nulls(fuel, min_load_mw, ramp_mw_per_min) = 0
            AND (num_nonnulls(start_cost_cold, start_cost_warm, start_cost_hot, variable_cost_per_mwh) = 0 OR currency IS NOT NULL)
        ELSE num_nonnulls(fuel, min_load_mw, ramp_mw_per_min, start_cost_cold, start_cost_warm, start_cost_hot,
            variable_cost_per_mwh, min_up_min, min_down_min, currency) = 0 END),
    CONSTRAINT assets_thermal_bounds CHECK (min_load_mw <= capacity_mw),
    CONSTRAINT assets_solar_data CHECK (CASE WHEN kind = 'solar' THEN num_nulls(dc_mw, tilt_degrees, azimuth_degrees) = 0
        ELSE num_nonnulls(dc_mw, tilt_degrees, azimuth_degrees) = 0 END),
    CONSTRAINT assets_wind_data CHECK (CASE WHEN kind = 'wind' THEN num_nulls(hub_height_m, rotor_diameter_m) = 0
        ELSE num_nonnulls(hub_height_m, rotor_diameter_m, turbines) = 0 END)
);
COMMENT ON TABLE assets IS 'plants and batteries; the columns of a kind are there for that kind alone, and all of them but turbines, costs and minimal times';
COMMENT ON COLUMN assets.code IS 'what bids, meters and settlement call the asset';
COMMENT ON COLUMN assets.capacity_mw IS 'most that it gives or takes at the grid, AC';
COMMENT ON COLUMN assets.efficiency_percent IS 'of a whole cycle, grid to grid';
CREATE INDEX assets_by_time ON assets (organisation_id, created_time, id);
CREATE INDEX assets_by_name ON assets (organisation_id, name, id);
CREATE INDEX assets_by_site ON assets (organisation_id, site_id);

SELECT permit_tenant(name, 'SELECT', 'INSERT', 'UPDATE', 'DELETE') FROM unnest('{sites,assets}'::regclass[]) AS name;
SELECT permit(name, 'optibid_system', 'SELECT', 'DELETE') FROM unnest('{sites,assets}'::regclass[]) AS name;
SELECT track_version('sites', 'point');
SELECT track_version('assets');
SELECT track_changes('sites', 'ignored:point');
SELECT track_changes('assets');
