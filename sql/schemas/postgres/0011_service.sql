-- What the service itself keeps: dashboards, feature flags, plans and what was used of them, keys of repeated requests,
-- the registry of models, and privacy: consents, and how long data stay.

CREATE TABLE dashboards (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    owner_id uuid NOT NULL,
    name text NOT NULL CHECK (is_name(name)),
    shared boolean NOT NULL DEFAULT false,
    settings jsonb NOT NULL DEFAULT '{}' CHECK (is_object(settings, 16384)),
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, id),
    FOREIGN KEY (organisation_id, owner_id) REFERENCES memberships (organisation_id, user_id) ON DELETE CASCADE
);
COMMENT ON TABLE dashboards IS 'a member''s own, or shared: then all members see it; its owner and admins change it';
CREATE INDEX dashboards_by_time ON dashboards (organisation_id, created_time, id);
CREATE INDEX dashboards_by_owner ON dashboards (organisation_id, owner_id);

CREATE TABLE widgets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL,
    dashboard_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,63}$'),
    title text NOT NULL CHECK (is_name(title)),
    grid_x integer NOT NULL CHECK (grid_x BETWEEN 0 AND 23),
    grid_y integer NOT NULL CHECK (grid_y BETWEEN 0 AND 999),
    grid_width integer NOT NULL CHECK (grid_width BETWEEN 1 AND 24),
    grid_height integer NOT NULL CHECK (grid_height BETWEEN 1 AND 100),
    settings jsonb NOT NULL DEFAULT '{}' CHECK (is_object(settings, 16384)),
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, id),
    FOREIGN KEY (organisation_id, dashboard_id) REFERENCES dashboards (organisation_id, id) ON DELETE CASCADE,
    CHECK (grid_x + grid_width <= 24)
);
COMMENT ON TABLE widgets IS 'what stands on a dashboard, on a grid of 24 columns';
CREATE INDEX widgets_by_dashboard ON widgets (organisation_id, dashboard_id);

SELECT isolate(name) FROM unnest('{dashboards,widgets}'::regclass[]) AS name;
GRANT SELECT, INSERT, UPDATE, DELETE ON dashboards, widgets TO optibid_tenant;
CREATE POLICY optibid_tenant_read ON dashboards FOR SELECT TO optibid_tenant USING (
    organisation_id = (SELECT current_organisation()) AND (shared OR owner_id = (SELECT current_user_id())));
CREATE POLICY optibid_tenant ON dashboards TO optibid_tenant USING (organisation_id = (SELECT current_organisation())
    AND (owner_id = (SELECT current_user_id()) OR (shared AND (SELECT current_member_role()) = 'admin')));
-- Two of them, since a deletion asks for no WITH CHECK: to see a widget is not to remove it.
CREATE POLICY optibid_tenant_read ON widgets FOR SELECT TO optibid_tenant USING (organisation_id = (SELECT current_organisation())
    AND EXISTS (SELECT FROM dashboards AS d WHERE d.organisation_id = widgets.organisation_id AND d.id = dashboard_id));
CREATE POLICY optibid_tenant ON widgets TO optibid_tenant USING (organisation_id = (SELECT current_organisation()) AND EXISTS (
    SELECT FROM dashboards AS d WHERE d.organisation_id = widgets.organisation_id AND d.id = dashboard_id
    AND (d.owner_id = (SELECT current_user_id()) OR (d.shared AND (SELECT current_member_role()) = 'admin'))));

CREATE TABLE feature_flags (
    code text PRIMARY KEY CHECK (code ~ '^[a-z][a-z0-9_]{0,63}$'),
    name text NOT NULL CHECK (is_name(name)),
    description text NOT NULL DEFAULT '' CHECK (is_text(description, 2000)),
    enabled boolean NOT NULL DEFAULT false,
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE feature_flags IS 'what is switched on for everybody who has no row in feature_overrides';

CREATE TABLE feature_overrides (
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    flag text NOT NULL REFERENCES feature_flags (code) ON DELETE CASCADE,
    enabled boolean NOT NULL,
    PRIMARY KEY (organisation_id, flag)
);
COMMENT ON TABLE feature_overrides IS 'a flag as it is for one organisation';
CREATE INDEX feature_overrides_by_flag ON feature_overrides (flag);

CREATE TABLE plans (
    code text PRIMARY KEY CHECK (code ~ '^[a-z][a-z0-9_]{0,63}$'),
    name text NOT NULL CHECK (is_name(name)),
    description text NOT NULL DEFAULT '' CHECK (is_text(description, 2000)),
    price_per_month numeric(12, 2) CHECK (price_per_month >= 0),
    currency text NOT NULL DEFAULT 'EUR' CHECK (currency ~ '^[A-Z]{3}$'),
    position integer NOT NULL DEFAULT 0,
    is_default boolean NOT NULL DEFAULT false,
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE plans IS 'what can be subscribed to; price null: by agreement; the default is that of whoever subscribed to none';
CREATE UNIQUE INDEX plans_default ON plans (is_default) WHERE is_default;

CREATE TABLE quotas (
    plan text NOT NULL REFERENCES plans (code) ON DELETE CASCADE,
    metric text NOT NULL CHECK (metric ~ '^[a-z][a-z0-9_]{0,63}$'),
    maximum bigint CHECK (maximum >= 0),
    PRIMARY KEY (plan, metric)
);
COMMENT ON TABLE quotas IS 'how much of a metric a plan allows: a day for what is counted in usage, else at once; null: without limit';

CREATE TABLE subscriptions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    plan text NOT NULL REFERENCES plans (code),
    start_time timestamptz NOT NULL DEFAULT now(),
    end_time timestamptz,
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, id),
    CHECK (end_time > start_time)
);
COMMENT ON TABLE subscriptions IS 'which plan an organisation has and had; end_time null: still';
CREATE UNIQUE INDEX subscriptions_open ON subscriptions (organisation_id) WHERE end_time IS NULL;
CREATE INDEX subscriptions_by_plan ON subscriptions (plan);

CREATE TABLE usage (
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    metric text NOT NULL CHECK (metric ~ '^[a-z][a-z0-9_]{0,63}$'),
    day date NOT NULL,
    amount bigint NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (organisation_id, day, metric)
);
COMMENT ON TABLE usage IS 'how much of a metric was used on a day, UTC';
CREATE INDEX usage_by_day ON usage (day, metric);

CREATE TABLE idempotency_keys (
    organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    principal_id uuid NOT NULL,
    key text NOT NULL CHECK (is_name(key, 255)),
    method text NOT NULL CHECK (method ~ '^[A-Z]{3,10}$'),
    path text NOT NULL CHECK (is_name(path, 1000)),
    body_hash bytea NOT NULL CHECK (is_sha256(body_hash)),
    status integer CHECK (status BETWEEN 200 AND 599),
    headers jsonb CHECK (is_object(headers, 16384)),
    response bytea CHECK (octet_length(response) <= 1048576),
    expires_time timestamptz NOT NULL,
    created_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organisation_id, principal_id, key)
);
COMMENT ON TABLE idempotency_keys IS 'answers given, to be given again; status null: still at work. principal_id: the API key, else the user';
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_time);
SELECT isolate('idempotency_keys');
GRANT SELECT, INSERT, UPDATE (status, headers, response), DELETE ON idempotency_keys TO optibid_tenant;
CREATE POLICY optibid_tenant ON idempotency_keys TO optibid_tenant USING (organisation_id = (SELECT current_organisation())
    AND principal_id = coalesce((SELECT setting_uuid('optibid.api_key')), (SELECT current_user_id())));

CREATE TABLE models (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid REFERENCES organisations (id) ON DELETE CASCADE,
    name text NOT NULL CHECK (is_name(name)),
    model_version text NOT NULL CHECK (is_name(model_version, 64)),
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,63}$'),
    stage text NOT NULL DEFAULT 'none' CHECK (stage IN ('none', 'staging', 'production', 'archived')),
    parameters jsonb NOT NULL DEFAULT '{}' CHECK (is_object(parameters, 65536)),
    metrics jsonb NOT NULL DEFAULT '{}' CHECK (is_object(metrics, 65536)),
    artifact_uri text CHECK (is_name(artifact_uri, 2000)),
    trained_time timestamptz,
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (organisation_id, name, model_version)
);
COMMENT ON TABLE models IS 'trained models; organisation_id null: the platform''s, which every tenant may use';
CREATE INDEX models_by_time ON models (organisation_id, created_time, id);
CREATE UNIQUE INDEX models_in_production ON models (organisation_id, name) NULLS NOT DISTINCT WHERE stage = 'production';

CREATE TABLE consents (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose text NOT NULL CHECK (purpose ~ '^[a-z][a-z0-9_]{0,63}$'),
    text_version text NOT NULL CHECK (is_name(text_version, 64)),
    granted_time timestamptz NOT NULL DEFAULT now(),
    withdrawn_time timestamptz CHECK (withdrawn_time >= granted_time),
    created_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE consents IS 'what a user agreed to, in which wording, and until when';
CREATE UNIQUE INDEX consents_open ON consents (user_id, purpose) WHERE withdrawn_time IS NULL;

CREATE TABLE retention_policies (
    data_class text PRIMARY KEY CHECK (data_class ~ '^[a-z][a-z0-9_]{0,63}$'),
    days integer CHECK (days BETWEEN 0 AND 36500),
    description text NOT NULL CHECK (is_text(description, 500)),
    version bigint NOT NULL DEFAULT 1,
    created_time timestamptz NOT NULL DEFAULT now(),
    updated_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE retention_policies IS 'how long rows stay after they ended; null: for good';

CREATE TABLE retention_runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    data_class text NOT NULL REFERENCES retention_policies (data_class),
    before_time timestamptz NOT NULL,
    removed bigint NOT NULL CHECK (removed >= 0),
    started_time timestamptz NOT NULL,
    ended_time timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE retention_runs IS 'what the job removed';
CREATE INDEX retention_runs_by_time ON retention_runs (data_class, ended_time DESC);
