//! The contents of `pg_catalog`. Oids of tables start where PostgreSQL's own end.

use pgwire::api::Type;
use serde_json::{Value, json};

use crate::catalog::CATALOG;
use crate::pg_catalog::types::{TYPES, pg_type};
use crate::tables;

/// First oid of a table.
const FIRST_TABLE: i64 = 16_384;
/// Oid of the database.
const DATABASE: i64 = 16_000;
/// Oid of the only role.
pub(crate) const OWNER: i64 = 10;
/// Schemas with their oids.
const NAMESPACES: [(i64, &str); 3] = [(11, "pg_catalog"), (2200, "public"), (13_000, "information_schema")];

/// A table's name, its columns, and its rows.
type Filled = (&'static str, &'static str, Vec<Value>);

/// Tables that describe what exists here.
pub(crate) fn filled() -> Vec<Filled> {
    vec![
        ("pg_namespace", "oid:int nspname nspowner:int nspacl:text[]", namespaces()),
        (
            "pg_class",
            "oid:int relname relnamespace:int reltype:int reloftype:int relowner:int relam:int relfilenode:int \
             reltablespace:int relpages:int reltuples:int reltoastrelid:int relhasindex:flag relisshared:flag \
             relpersistence relkind relnatts:int relchecks:int relhasrules:flag relhastriggers:flag \
             relhassubclass:flag relrowsecurity:flag relforcerowsecurity:flag relispopulated:flag relreplident \
             relispartition:flag relpartbound relacl:text[] reloptions:text[]",
            classes(),
        ),
        (
            "pg_attribute",
            "attrelid:int attname atttypid:int attstattarget:int attlen:int attnum:int attndims:int atttypmod:int \
             attnotnull:flag atthasdef:flag attidentity attgenerated attisdropped:flag attcollation:int \
             attstorage attcompression attacl:text[]",
            attributes(),
        ),
        (
            "pg_type",
            "oid:int typname typnamespace:int typowner:int typlen:int typtype typcategory typrelid:int typelem:int \
             typarray:int typbasetype:int typtypmod:int typcollation:int typnotnull:flag typdelim typinput \
             typreceive",
            types(),
        ),
        (
            "pg_database",
            "oid:int datname datdba:int encoding:int datlocprovider datistemplate:flag datallowconn:flag \
             datconnlimit:int dattablespace:int datcollate datctype daticulocale datcollversion datacl:text[]",
            vec![json!({"oid": DATABASE, "datname": CATALOG, "datdba": OWNER, "encoding": 6, "datlocprovider": "c",
                "datistemplate": false, "datallowconn": true, "datconnlimit": -1, "dattablespace": 1663,
                "datcollate": "C.UTF-8", "datctype": "C.UTF-8"})],
        ),
        (
            "pg_roles",
            "oid:int rolname rolsuper:flag rolinherit:flag rolcreaterole:flag rolcreatedb:flag rolcanlogin:flag \
             rolreplication:flag rolconnlimit:int rolvaliduntil rolbypassrls:flag",
            vec![json!({"oid": OWNER, "rolname": CATALOG, "rolsuper": false, "rolinherit": true,
                "rolcreaterole": false, "rolcreatedb": false, "rolcanlogin": true, "rolreplication": false,
                "rolconnlimit": -1, "rolbypassrls": false})],
        ),
        (
            "pg_user",
            "usename usesysid:int usesuper:flag",
            vec![json!({"usename": CATALOG, "usesysid": OWNER, "usesuper": false})],
        ),
        ("pg_am", "oid:int amname amtype", vec![json!({"oid": 2, "amname": "heap", "amtype": "t"})]),
        (
            "pg_tables",
            "schemaname tablename tableowner tablespace hasindexes:flag hasrules:flag hastriggers:flag rowsecurity:flag",
            pg_tables(),
        ),
    ]
}

/// Tables that describe what does not exist here.
pub(crate) const EMPTY: &[(&str, &str)] = &[
    ("pg_attrdef", "oid:int adrelid:int adnum:int adbin"),
    ("pg_auth_members", "roleid:int member:int grantor:int admin_option:flag"),
    ("pg_collation", "oid:int collname collnamespace:int"),
    (
        "pg_constraint",
        "oid:int conname connamespace:int contype conrelid:int confrelid:int conindid:int conkey:int[] confkey:int[] conparentid:int",
    ),
    ("pg_depend", "classid:int objid:int objsubid:int refclassid:int refobjid:int refobjsubid:int deptype"),
    ("pg_description", "objoid:int classoid:int objsubid:int description"),
    ("pg_enum", "oid:int enumtypid:int enumsortorder:int enumlabel"),
    ("pg_event_trigger", "oid:int evtname"),
    ("pg_extension", "oid:int extname extversion extnamespace:int"),
    ("pg_foreign_table", "ftrelid:int ftserver:int"),
    (
        "pg_index",
        "indexrelid:int indrelid:int indisunique:flag indisprimary:flag indisclustered:flag indisvalid:flag indkey:int[]",
    ),
    ("pg_inherits", "inhrelid:int inhparent:int inhseqno:int inhdetachpending:flag"),
    ("pg_language", "oid:int lanname"),
    ("pg_matviews", "schemaname matviewname"),
    ("pg_policy", "oid:int polname polrelid:int polcmd polpermissive:flag polroles:int[] polqual polwithcheck"),
    ("pg_proc", "oid:int proname pronamespace:int prokind proretset:flag prorettype:int proargtypes:int[]"),
    ("pg_publication", "oid:int pubname puballtables:flag"),
    ("pg_publication_namespace", "oid:int pnpubid:int pnnspid:int"),
    ("pg_publication_rel", "oid:int prpubid:int prrelid:int prqual prattrs:int[]"),
    ("pg_range", "rngtypid:int rngsubtype:int"),
    ("pg_rewrite", "oid:int rulename ev_class:int"),
    ("pg_sequence", "seqrelid:int seqtypid:int"),
    ("pg_shdescription", "objoid:int classoid:int description"),
    ("pg_statistic_ext", "oid:int stxrelid:int stxnamespace:int stxname stxkind:text[] stxstattarget:int"),
    ("pg_tablespace", "oid:int spcname"),
    ("pg_trigger", "oid:int tgrelid:int tgname"),
    ("pg_views", "schemaname viewname viewowner definition"),
];

/// Name of a table by oid.
pub(crate) fn relation_name(oid: i64) -> Option<&'static str> {
    let index = usize::try_from(oid.checked_sub(FIRST_TABLE)?).ok()?;
    tables::schemas().into_keys().nth(index)
}

/// Oid of a table by name, with or without its schema.
pub(crate) fn relation_oid(name: &str) -> Option<i64> {
    let name = name.trim().trim_start_matches("public.").trim_matches('"');
    with_oids().find(|(_, known, _)| *known == name).map(|(oid, _, _)| oid)
}

/// Name of a schema by oid.
pub(crate) fn namespace_name(oid: i64) -> Option<&'static str> {
    NAMESPACES.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name)
}

fn with_oids() -> impl Iterator<Item = (i64, &'static str, arrow::datatypes::SchemaRef)> {
    tables::schemas().into_iter().zip(FIRST_TABLE..).map(|((name, schema), oid)| (oid, name, schema))
}

fn namespaces() -> Vec<Value> {
    NAMESPACES.iter().map(|(oid, name)| json!({"oid": oid, "nspname": name, "nspowner": OWNER})).collect()
}

fn classes() -> Vec<Value> {
    with_oids()
        .map(|(oid, name, schema)| {
            json!({"oid": oid, "relname": name, "relnamespace": 2200, "reltype": 0, "reloftype": 0, "relowner": OWNER,
                "relam": 2, "relfilenode": 0, "reltablespace": 0, "relpages": 0, "reltuples": -1, "reltoastrelid": 0,
                "relhasindex": false, "relisshared": false, "relpersistence": "p", "relkind": "r",
                "relnatts": schema.fields().len(), "relchecks": 0, "relhasrules": false, "relhastriggers": false,
                "relhassubclass": false, "relrowsecurity": false, "relforcerowsecurity": false,
                "relispopulated": true, "relreplident": "n", "relispartition": false})
        })
        .collect()
}

fn attributes() -> Vec<Value> {
    let columns = |(oid, _, schema): (i64, &str, arrow::datatypes::SchemaRef)| -> Vec<Value> {
        let column = |(index, field): (usize, &arrow::datatypes::FieldRef)| {
            let pg = pg_type(field.data_type());
            json!({"attrelid": oid, "attname": field.name(), "atttypid": pg.oid(), "attstattarget": -1,
                "attlen": length(&pg), "attnum": index + 1, "attndims": 0, "atttypmod": -1,
                "attnotnull": !field.is_nullable(), "atthasdef": false, "attidentity": "", "attgenerated": "",
                "attisdropped": false, "attcollation": 0, "attstorage": "p", "attcompression": ""})
        };
        schema.fields().iter().enumerate().map(column).collect()
    };
    with_oids().flat_map(columns).collect()
}

fn types() -> Vec<Value> {
    TYPES
        .iter()
        .map(|pg| {
            let element = match pg.kind() {
                tokio_postgres::types::Kind::Array(element) => i64::from(element.oid()),
                _ => 0,
            };
            json!({"oid": pg.oid(), "typname": pg.name(), "typnamespace": 11, "typowner": OWNER, "typlen": length(pg),
                "typtype": "b", "typcategory": if element == 0 { "U" } else { "A" }, "typrelid": 0,
                "typelem": element, "typarray": 0, "typbasetype": 0, "typtypmod": -1, "typcollation": 0,
                "typnotnull": false, "typdelim": ",", "typinput": format!("{}in", pg.name()),
                "typreceive": if element == 0 { format!("{}recv", pg.name()) } else { "array_recv".to_owned() }})
        })
        .collect()
}

fn pg_tables() -> Vec<Value> {
    with_oids()
        .map(|(_, name, _)| {
            json!({"schemaname": "public", "tablename": name, "tableowner": CATALOG, "hasindexes": false,
                "hasrules": false, "hastriggers": false, "rowsecurity": false})
        })
        .collect()
}

/// Bytes of a fixed-length type, −1 for the others.
pub(crate) fn length(pg: &Type) -> i16 {
    match *pg {
        Type::BOOL => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME => 8,
        Type::INTERVAL => 16,
        Type::NAME => 64,
        _ => -1,
    }
}
