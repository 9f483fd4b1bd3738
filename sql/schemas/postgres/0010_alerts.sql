-- What an organisation watches, what it has seen, and how it is told: rules, alerts, channels, notifications, deliveries.

CREATE TABLE alert_rules (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    rule text NOT NULL UNIQUE,
    name text NOT NULL CHECK (is_name(name)),
    description text NOT NULL DEFAULT '' CHECK (is_text(description, 2000)),
    kind text NOT NULL CHECK (kind IN ('z_score', 'robust_z_score', 'price_cap', 'price_floor', 'flat_line', 'stale_feed', 'spread_break')),
    zone text REFERENCES zones (code),
    location text CHECK (is_name(location, 256) AND (location IS NULL OR zone IS NOT NULL)),
    market text REFERENCES markets (code),
    threshold_milli bigint NOT NULL CHECK (threshold_milli BETWEEN 0 AND 1000000000000),
    window_bars integer NOT NULL DEFAULT 30 CHECK (window_bars BETWEEN 2 AND 10000),
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    enabled boolean NOT NULL DEFAULT true,
    removed_time timestamptz,
    published_version bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, id),
    CHECK (published_version <= version)
);
COMMENT ON TABLE alert_rules IS 'what goes to the rules topic, with version as its revision; one that is removed stays until the stream was told';
COMMENT ON COLUMN alert_rules.rule IS 'name on the stream, made here: code of the organisation, slash, id. Rules of the platform have no slash: their alerts are everybody''s';
COMMENT ON COLUMN alert_rules.published_version IS 'the version that the stream was told last; less than version: to be published';
CREATE UNIQUE INDEX alert_rules_by_name ON alert_rules (organisation_id, name) WHERE removed_time IS NULL;
CREATE INDEX alert_rules_by_time ON alert_rules (organisation_id, created_time, id);
CREATE INDEX alert_rules_unpublished ON alert_rules (updated_time) WHERE published_version < version;

CREATE FUNCTION name_rule() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.rule := current_organisation_code() || '/' || NEW.id;
    ELSE
        NEW.rule := OLD.rule;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER name_rule BEFORE INSERT OR UPDATE ON alert_rules FOR EACH ROW EXECUTE FUNCTION name_rule();

CREATE TABLE alerts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    rule_id uuid,
    anomaly text NOT NULL CHECK (is_name(anomaly, 1000)),
    zone text NOT NULL CHECK (is_name(zone, 256)),
    location text NOT NULL CHECK (is_name(location, 256)),
    market text NOT NULL CHECK (is_name(market, 64)),
    kind text NOT NULL CHECK (is_name(kind, 64)),
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    start_time timestamptz NOT NULL,
    value double precision NOT NULL,
    threshold double precision NOT NULL,
    withdrawn_time timestamptz,
    acknowledged_by uuid,
    acknowledged_time timestamptz,
    note text CHECK (is_text(note, 2000)),
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, id),
    UNIQUE (organisation_id, anomaly),
    FOREIGN KEY (organisation_id, rule_id) REFERENCES alert_rules (organisation_id, id) ON DELETE SET NULL (rule_id),
    FOREIGN KEY (organisation_id, acknowledged_by) REFERENCES memberships (organisation_id, user_id) ON DELETE SET NULL (acknowledged_by),
    CHECK (acknowledged_by IS NULL OR acknowledged_time IS NOT NULL)
);
COMMENT ON TABLE alerts IS 'what one organisation makes of an anomaly of the stream (anomalies.id): seen by whom, with what note';
CREATE INDEX alerts_by_time ON alerts (organisation_id, start_time, id);
CREATE INDEX alerts_unacknowledged ON alerts (organisation_id, start_time, id) WHERE acknowledged_time IS NULL;
CREATE INDEX alerts_by_rule ON alerts (organisation_id, rule_id);

CREATE TABLE notification_channels (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    name text NOT NULL CHECK (is_name(name)),
    kind text NOT NULL CHECK (kind IN ('webhook', 'email')),
    url text CHECK (is_name(url, 2000) AND url ~ '^https?://'),
    secret_encrypted bytea CHECK (octet_length(secret_encrypted) BETWEEN 16 AND 512),
    nonce bytea CHECK (octet_length(nonce) IN (12, 24)),
    key_id text CHECK (is_name(key_id, 64)),
    email text CHECK (is_email(email)),
    minimal_severity text NOT NULL DEFAULT 'info' CHECK (minimal_severity IN ('info', 'warning', 'critical')),
    enabled boolean NOT NULL DEFAULT true,
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, id),
    UNIQUE (organisation_id, name),
    CHECK (CASE kind WHEN 'webhook' THEN num_nulls(url, secret_encrypted, nonce, key_id) = 0 AND email IS NULL
        ELSE email IS NOT NULL AND num_nonnulls(url, secret_encrypted, nonce, key_id) = 0 END)
);
COMMENT ON TABLE notification_channels IS 'where notifications go: a webhook that is signed with its secret, or an address';

CREATE TABLE notifications (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    user_id uuid,
    alert_id uuid,
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_.]{0,63}$'),
    severity text NOT NULL DEFAULT 'info' CHECK (severity IN ('info', 'warning', 'critical')),
    title text NOT NULL CHECK (is_name(title)),
    body text NOT NULL DEFAULT '' CHECK (is_text(body, 4000)),
    detail jsonb NOT NULL DEFAULT '{}' CHECK (is_object(detail, 16384)),
    read_time timestamptz,
    created_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, id),
    FOREIGN KEY (organisation_id, user_id) REFERENCES memberships (organisation_id, user_id) ON DELETE CASCADE,
    FOREIGN KEY (organisation_id, alert_id) REFERENCES alerts (organisation_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE notifications IS 'what members are told; user_id null: all of them';
CREATE INDEX notifications_by_time ON notifications (organisation_id, created_time, id);
CREATE INDEX notifications_by_user ON notifications (organisation_id, user_id, created_time);
CREATE INDEX notifications_by_alert ON notifications (organisation_id, alert_id);

CREATE TABLE deliveries (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    notification_id uuid NOT NULL,
    channel_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts BETWEEN 0 AND 1000),
    next_attempt_time timestamptz DEFAULT now(),
    last_status integer CHECK (last_status BETWEEN 100 AND 999),
    last_error text CHECK (is_text(last_error, 1000)),
    delivered_time timestamptz,
    created_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, id),
    UNIQUE (organisation_id, notification_id, channel_id),
    FOREIGN KEY (organisation_id, notification_id) REFERENCES notifications (organisation_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation_id, channel_id) REFERENCES notification_channels (organisation_id, id) ON DELETE CASCADE,
    CHECK ((status = 'pending') = (next_attempt_time IS NOT NULL)),
    CHECK ((status = 'delivered') = (delivered_time IS NOT NULL))
);
COMMENT ON TABLE deliveries IS 'a notification on its way by one channel; taken with FOR UPDATE SKIP LOCKED, next_attempt_time put ahead first';
CREATE INDEX deliveries_pending ON deliveries (next_attempt_time) WHERE status = 'pending';
CREATE INDEX deliveries_by_time ON deliveries (organisation_id, created_time, id);
CREATE INDEX deliveries_by_channel ON deliveries (organisation_id, channel_id);

SELECT permit_tenant('alert_rules', 'SELECT',
    'INSERT (id, organisation_id, name, description, kind, zone, location, market, threshold_milli, window_bars, severity, enabled)',
    'UPDATE (name, description, kind, zone, location, market, threshold_milli, window_bars, severity, enabled, removed_time)');
SELECT permit('alert_rules', 'optibid_system', 'SELECT', 'UPDATE (published_version)', 'DELETE');
SELECT permit_tenant('alerts', 'SELECT', 'INSERT', 'UPDATE (acknowledged_by, acknowledged_time, note)');
SELECT permit('alerts', 'optibid_system', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');
SELECT permit_tenant('notification_channels',
    'SELECT (id, organisation_id, name, kind, url, email, minimal_severity, enabled, version, created_time, updated_time)',
    'INSERT (id, organisation_id, name, kind, url, secret_encrypted, nonce, key_id, email, minimal_severity, enabled)',
    'UPDATE (name, url, secret_encrypted, nonce, key_id, email, minimal_severity, enabled)', 'DELETE');
SELECT permit('notification_channels', 'optibid_system', 'SELECT', 'DELETE');
SELECT permit(name, 'optibid_system', 'SELECT', 'INSERT', 'UPDATE', 'DELETE') FROM unnest('{notifications,deliveries}'::regclass[]) AS name;
SELECT permit_tenant('deliveries', 'SELECT', 'INSERT (id, organisation_id, notification_id, channel_id)');
-- What is for one member is that member's alone.
GRANT SELECT, INSERT (id, organisation_id, user_id, alert_id, kind, severity, title, body, detail), UPDATE (read_time) ON notifications TO optibid_tenant;
CREATE POLICY optibid_tenant ON notifications TO optibid_tenant USING (
    organisation_id = (SELECT current_organisation()) AND (user_id IS NULL OR user_id = (SELECT current_user_id())));

SELECT track_version('alert_rules', 'published_version');
SELECT track_version(name) FROM unnest('{alerts,notification_channels}'::regclass[]) AS name;
SELECT track_changes('alert_rules', 'ignored:published_version');
SELECT track_changes('alerts');
SELECT track_changes('notification_channels', 'secret:url,secret_encrypted,nonce', 'personal:email');
