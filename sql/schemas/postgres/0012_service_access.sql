-- Who may use what of 0011, what an operator may count of all tenants, and the reference data of the platform.

-- An admin switches flags and subscribes to plans, which the API asks for.
SELECT permit_tenant('feature_overrides', 'SELECT', 'INSERT', 'UPDATE (enabled)', 'DELETE');
SELECT permit_tenant('subscriptions', 'SELECT', 'INSERT (organisation_id, plan)', 'UPDATE (end_time)');
SELECT permit_tenant('usage', 'SELECT');
SELECT permit(name, 'optibid_operator', 'SELECT', 'INSERT', 'UPDATE', 'DELETE') FROM unnest('{feature_overrides,subscriptions}'::regclass[]) AS name;
SELECT permit('usage', 'optibid_operator', 'SELECT');
SELECT permit('usage', 'optibid_system', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');
SELECT permit(name, 'optibid_system', 'SELECT') FROM unnest('{widgets,feature_overrides,subscriptions}'::regclass[]) AS name;
-- A shared dashboard passes to another member when its owner is erased.
SELECT permit('dashboards', 'optibid_system', 'SELECT', 'UPDATE (owner_id)');
SELECT permit('idempotency_keys', 'optibid_system', 'SELECT', 'DELETE');

SELECT isolate('models');
GRANT SELECT, INSERT, UPDATE, DELETE ON models TO optibid_tenant;
CREATE POLICY optibid_tenant ON models TO optibid_tenant USING (organisation_id = (SELECT current_organisation()));
CREATE POLICY optibid_tenant_read ON models FOR SELECT TO optibid_tenant
    USING (organisation_id IS NULL AND (SELECT current_organisation()) IS NOT NULL);
SELECT permit('models', 'optibid_system', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');

SELECT isolate('consents');
GRANT SELECT, INSERT (id, user_id, purpose, text_version), UPDATE (withdrawn_time) ON consents TO optibid_tenant;
CREATE POLICY optibid_tenant ON consents TO optibid_tenant USING (user_id = (SELECT current_user_id()));
SELECT permit('consents', 'optibid_identity', 'SELECT', 'INSERT', 'UPDATE (withdrawn_time)');
SELECT permit('consents', 'optibid_system', 'SELECT', 'DELETE');

-- The platform's own: no tenant's rows, so no row-level security.
GRANT SELECT ON feature_flags, plans, quotas, retention_policies TO optibid_tenant, optibid_operator, optibid_system;
GRANT INSERT, UPDATE, DELETE ON feature_flags, plans, quotas TO optibid_operator;
GRANT UPDATE (days, description) ON retention_policies TO optibid_operator;
GRANT SELECT ON retention_runs TO optibid_operator, optibid_system;
GRANT INSERT ON retention_runs TO optibid_system;

SELECT track_version(name) FROM unnest('{dashboards,widgets,feature_flags,plans,subscriptions,models,retention_policies}'::regclass[]) AS name;
SELECT track_changes(name) FROM unnest('{dashboards,widgets,subscriptions,models,consents}'::regclass[]) AS name;
SELECT track_changes(name, 'id:code') FROM unnest('{feature_flags,plans}'::regclass[]) AS name;
SELECT track_changes('feature_overrides', 'id:organisation_id,flag');
SELECT track_changes('quotas', 'id:plan,metric');
SELECT track_changes('retention_policies', 'id:data_class');

CREATE FUNCTION tenant_statistics() RETURNS TABLE (
    organisation_id uuid, members bigint, sites bigint, assets bigint, capacity_mw double precision, alert_rules bigint,
    unacknowledged_alerts bigint, live_bids bigint, last_seen_time timestamptz
) LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT o.id, coalesce(m.n, 0), coalesce(s.n, 0), coalesce(a.n, 0), coalesce(a.capacity_mw, 0), coalesce(r.n, 0),
        coalesce(l.n, 0), coalesce(b.n, 0), u.last_seen_time
    FROM organisations AS o
    LEFT JOIN (SELECT organisation_id, count(*) AS n FROM memberships GROUP BY 1) AS m ON m.organisation_id = o.id
    LEFT JOIN (SELECT organisation_id, count(*) AS n FROM sites GROUP BY 1) AS s ON s.organisation_id = o.id
    LEFT JOIN (SELECT organisation_id, count(*) AS n, sum(capacity_mw) AS capacity_mw FROM assets GROUP BY 1) AS a ON a.organisation_id = o.id
    LEFT JOIN (SELECT organisation_id, count(*) AS n FROM alert_rules WHERE removed_time IS NULL GROUP BY 1) AS r ON r.organisation_id = o.id
    LEFT JOIN (SELECT organisation_id, count(*) AS n FROM alerts WHERE acknowledged_time IS NULL GROUP BY 1) AS l ON l.organisation_id = o.id
    LEFT JOIN (SELECT organisation, count(*) AS n FROM bids WHERE NOT removed GROUP BY 1) AS b ON b.organisation = o.code
    LEFT JOIN (SELECT organisation_id, max(last_seen_time) AS last_seen_time FROM sessions GROUP BY 1) AS u ON u.organisation_id = o.id
$$;
COMMENT ON FUNCTION tenant_statistics IS 'how much each tenant has: numbers for the operator, who may not read the rows';
REVOKE EXECUTE ON FUNCTION tenant_statistics FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant_statistics TO optibid_operator, optibid_system;
-- It counts as optibid_system does, whatever the owner of the tables may see.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION tenant_statistics SET search_path = pg_catalog, %I, pg_temp', current_schema());
    EXECUTE format('GRANT CREATE ON SCHEMA %I TO optibid_system', current_schema());
    ALTER FUNCTION tenant_statistics OWNER TO optibid_system;
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM optibid_system', current_schema());
END $$;

INSERT INTO markets (code, name, kind, interval_ms) VALUES
    ('CONTINUOUS', 'Continuous', 'continuous', 0),
    ('REAL_TIME_5_MIN', 'Real time, 5 minutes', 'real_time', 300000),
    ('REAL_TIME_15_MIN', 'Real time, 15 minutes', 'real_time', 900000),
    ('REAL_TIME_30_MIN', 'Real time, 30 minutes', 'real_time', 1800000),
    ('REAL_TIME_HOURLY', 'Real time, hourly', 'real_time', 3600000),
    ('DAY_AHEAD_15_MIN', 'Day ahead, 15 minutes', 'day_ahead', 900000),
    ('DAY_AHEAD_30_MIN', 'Day ahead, 30 minutes', 'day_ahead', 1800000),
    ('DAY_AHEAD_HOURLY', 'Day ahead, hourly', 'day_ahead', 3600000);

INSERT INTO roles (code, name, description) VALUES
    ('admin', 'Admin', 'Runs the organisation: members, keys, channels, audit; may do whatever the others may.'),
    ('trader', 'Trader', 'Bids, and keeps sites, assets and alert rules.'),
    ('analyst', 'Analyst', 'Data, models, rules and SQL; no trading.'),
    ('viewer', 'Viewer', 'Looks on.');

-- As the table in platform/src/permission.rs says it, which is what is asked; a test holds the two together.
INSERT INTO permissions (code, description) VALUES
    ('organisation.read', 'See the organisation'),
    ('organisation.write', 'Change its name and settings'),
    ('members.read', 'See who belongs to it'),
    ('members.write', 'Invite, remove, give roles'),
    ('sites.read', 'See sites'),
    ('sites.write', 'Add, change, remove sites'),
    ('assets.read', 'See assets'),
    ('assets.write', 'Add, change, remove assets'),
    ('bids.read', 'See bids and what became of them'),
    ('bids.write', 'Submit, amend, withdraw'),
    ('settlement.read', 'See settlement and P&L'),
    ('market.read', 'See prices, key figures, auctions, maps'),
    ('rules.read', 'See alert rules and alerts'),
    ('rules.write', 'Add, change, remove alert rules'),
    ('channels.read', 'See notification channels'),
    ('channels.write', 'Add, change, remove channels; they send data out of the house'),
    ('notifications.read', 'See notifications'),
    ('notifications.write', 'Mark them read'),
    ('dashboards.read', 'See dashboards'),
    ('dashboards.write', 'Make, change, share, remove dashboards'),
    ('sql.query', 'Ask in SQL'),
    ('data.export', 'Take data out in files'),
    ('models.read', 'See models and forecasts'),
    ('models.write', 'Train, promote, remove models'),
    ('api_keys.read', 'See one''s own API keys'),
    ('api_keys.write', 'Make and revoke API keys'),
    ('audit.read', 'Read the audit trail'),
    ('flags.read', 'See feature flags'),
    ('flags.write', 'Switch feature flags of the organisation'),
    ('billing.read', 'See plan, quotas and use'),
    ('billing.write', 'Change the plan'),
    ('privacy.write', 'Export or erase the data of other members');

INSERT INTO role_permissions (role, permission)
SELECT 'admin', code FROM permissions
UNION ALL
SELECT 'analyst', code FROM permissions WHERE code IN (
    'organisation.read', 'members.read', 'sites.read', 'assets.read', 'bids.read', 'settlement.read', 'market.read',
    'rules.read', 'rules.write', 'channels.read', 'notifications.read', 'notifications.write', 'dashboards.read',
    'dashboards.write', 'sql.query', 'data.export', 'models.read', 'models.write', 'api_keys.read', 'api_keys.write',
    'flags.read'
)
UNION ALL
SELECT 'trader', code FROM permissions WHERE code IN (
    'organisation.read', 'members.read', 'sites.read', 'sites.write', 'assets.read', 'assets.write', 'bids.read',
    'bids.write', 'settlement.read', 'market.read', 'rules.read', 'rules.write', 'channels.read', 'notifications.read',
    'notifications.write', 'dashboards.read', 'dashboards.write', 'data.export', 'models.read', 'api_keys.read',
    'api_keys.write', 'flags.read'
)
UNION ALL
SELECT 'viewer', code FROM permissions WHERE code IN (
    'organisation.read', 'members.read', 'sites.read', 'assets.read', 'bids.read', 'market.read', 'rules.read',
    'notifications.read', 'notifications.write', 'dashboards.read', 'models.read', 'flags.read'
);

INSERT INTO plans (code, name, description, price_per_month, position, is_default) VALUES
    ('free', 'Free', 'To look around.', 0, 1, true),
    ('pro', 'Pro', 'For a trading desk.', 490, 2, false),
    ('enterprise', 'Enterprise', 'By agreement.', NULL, 3, false);
-- requests, bids and sql_queries a day; the others at once.
INSERT INTO quotas (plan, metric, maximum) VALUES
    ('free', 'members', 5), ('free', 'sites', 10), ('free', 'assets', 50), ('free', 'alert_rules', 10), ('free', 'api_keys', 2),
    ('free', 'requests', 50000), ('free', 'bids', 1000), ('free', 'sql_queries', 500),
    ('pro', 'members', 50), ('pro', 'sites', 1000), ('pro', 'assets', 10000), ('pro', 'alert_rules', 500), ('pro', 'api_keys', 50),
    ('pro', 'requests', 5000000), ('pro', 'bids', 200000), ('pro', 'sql_queries', 50000),
    ('enterprise', 'members', NULL), ('enterprise', 'sites', NULL), ('enterprise', 'assets', NULL), ('enterprise', 'alert_rules', NULL),
    ('enterprise', 'api_keys', NULL), ('enterprise', 'requests', NULL), ('enterprise', 'bids', NULL), ('enterprise', 'sql_queries', NULL);

INSERT INTO retention_policies (data_class, days, description) VALUES
    ('sessions', 90, 'Sessions and their refresh tokens, after they expired or were revoked'),
    ('tokens', 7, 'Password resets, e-mail verifications, log-ins with another issuer, after they expired'),
    ('invitations', 90, 'Invitations that were accepted or revoked, or expired'),
    ('idempotency_keys', 1, 'Answers to repeated requests, after they expired'),
    ('notifications', 180, 'Notifications and their deliveries'),
    ('alerts', 730, 'Alerts of organisations'),
    ('usage', 1095, 'Counts of use'),
    ('signing_keys', 30, 'Keys of access tokens, after their end'),
    ('consents', 3650, 'Consents, after they were withdrawn'),
    ('audit_log', NULL, 'The audit log: it cannot be shortened');
