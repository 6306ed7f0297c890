"""The tables of the prediction log, one source for the Alembic revision and for a SQLite file made on the way.

A predictor's role on PostgreSQL needs: INSERT, SELECT on `predictions`, `prediction_layouts` and `prediction_key`;
SELECT on `prediction_erasures`; EXECUTE on `prediction_month(timestamptz)`. Months are UTC's; their partitions are
called `predictions_y2026m11`. Rows that a spool still holds when their customer is erased are kept out by
`prediction_erasures`: a row no younger than the erasure is not inserted. `prediction_key` has one row at most, the
fingerprint of the key that the customers' names are made with: whoever has another key is refused."""

from __future__ import annotations

COLUMNS = (
    "record",
    "row",
    "predicted_at",
    "request_id",
    "model",
    "version",
    "variant",
    "shadow",
    "customer",
    "probability",
    "decision",
    "threshold",
    "risk",
    "latency_ms",
    "layout",
    "features",
)
"""Columns of `predictions`, in order, on both databases."""

RISKS = ("low", "medium", "high")
"""What the codes 0, 1, 2 in column `risk` mean."""

TABLES = ("predictions", "prediction_layouts", "prediction_erasures")

SQLITE_KEY = """
    CREATE TABLE IF NOT EXISTS prediction_key (
        one INTEGER PRIMARY KEY DEFAULT 1 CHECK (one = 1), fingerprint BLOB NOT NULL
    )
"""

POSTGRES_KEY = """
    CREATE TABLE prediction_key (one smallint PRIMARY KEY DEFAULT 1 CHECK (one = 1), fingerprint bytea NOT NULL)
"""

SQLITE = (
    """
    CREATE TABLE IF NOT EXISTS predictions (
        record BLOB NOT NULL, row INTEGER NOT NULL,
        predicted_at REAL NOT NULL,  -- seconds since 1970
        request_id TEXT NOT NULL, model TEXT NOT NULL, version INTEGER NOT NULL, variant TEXT NOT NULL,
        shadow INTEGER NOT NULL, customer BLOB, probability REAL NOT NULL, decision INTEGER NOT NULL,
        threshold REAL NOT NULL, risk INTEGER NOT NULL, latency_ms REAL NOT NULL, layout TEXT NOT NULL,
        features BLOB NOT NULL,  -- float64, little-endian, in the layout's order
        PRIMARY KEY (record, row)
    )
    """,
    "CREATE INDEX IF NOT EXISTS predictions_customer ON predictions (customer) WHERE customer IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS predictions_model ON predictions (model, version, predicted_at)",
    """
    CREATE TABLE IF NOT EXISTS prediction_layouts (
        digest TEXT PRIMARY KEY, model TEXT NOT NULL, columns TEXT NOT NULL  -- JSON
    )
    """,
    "CREATE TABLE IF NOT EXISTS prediction_erasures (customer BLOB PRIMARY KEY, erased_at REAL NOT NULL)",
    SQLITE_KEY,
)

POSTGRES = (
    """
    CREATE TABLE predictions (
        record uuid NOT NULL, row integer NOT NULL, predicted_at timestamptz NOT NULL, request_id text NOT NULL,
        model text NOT NULL, version integer NOT NULL, variant text NOT NULL, shadow boolean NOT NULL, customer bytea,
        probability double precision NOT NULL, decision boolean NOT NULL, threshold double precision NOT NULL,
        risk smallint NOT NULL, latency_ms real NOT NULL, layout text NOT NULL, features double precision[] NOT NULL,
        PRIMARY KEY (record, row, predicted_at)
    ) PARTITION BY RANGE (predicted_at)
    """,
    "CREATE INDEX predictions_customer ON predictions (customer) WHERE customer IS NOT NULL",
    "CREATE INDEX predictions_model ON predictions (model, version, predicted_at)",
    "CREATE TABLE prediction_layouts (digest text PRIMARY KEY, model text NOT NULL, columns jsonb NOT NULL)",
    "CREATE TABLE prediction_erasures (customer bytea PRIMARY KEY, erased_at timestamptz NOT NULL)",
    # A partition that is made apart and attached waits for no reader and no writer; one made in place would make all
    # writers wait behind a long read. Who may call it may add months between 1970 and 2100, and nothing else.
    """
    CREATE FUNCTION prediction_month(moment timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        first timestamp := date_trunc('month', moment AT TIME ZONE 'UTC');
        name text := to_char(first, '"predictions_y"YYYY"m"MM');
    BEGIN
        IF first NOT BETWEEN '1970-01-01' AND '2099-12-01' THEN
            RAISE EXCEPTION 'no month of the prediction log' USING ERRCODE = 'datetime_field_overflow';
        END IF;
        IF to_regclass(format('{schema}.%I', name)) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtext('prediction_month'));
        END IF;
        IF to_regclass(format('{schema}.%I', name)) IS NULL THEN
            EXECUTE format('CREATE TABLE {schema}.%I (LIKE {schema}.predictions INCLUDING DEFAULTS)', name);
            EXECUTE format(
                'ALTER TABLE {schema}.predictions ATTACH PARTITION {schema}.%I FOR VALUES FROM (%L) TO (%L)',
                name, first AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC');
        END IF;
    END $$
    """,
    "REVOKE ALL ON FUNCTION prediction_month(timestamptz) FROM PUBLIC",
    """
    CREATE VIEW prediction_features AS
    SELECT p.record, p.row, p.predicted_at, p.request_id, p.model, p.version, p.variant, p.shadow, p.customer,
        p.probability, p.decision, p.threshold, (ARRAY['low', 'medium', 'high'])[p.risk + 1] AS risk, p.latency_ms,
        (
            SELECT jsonb_object_agg(
                c.spec ->> 'name',
                CASE
                    WHEN p.features[c.place] = 'NaN' THEN 'null'
                    WHEN jsonb_array_length(c.spec -> 'labels') > 0
                        THEN c.spec -> 'labels' -> p.features[c.place]::integer
                    ELSE to_jsonb(p.features[c.place])
                END)
            FROM jsonb_array_elements(l.columns) WITH ORDINALITY AS c (spec, place)
        ) AS features
    FROM predictions p LEFT JOIN prediction_layouts l ON l.digest = p.layout
    """,
)
"""`{schema}` stands for the schema the tables are made in, quoted."""

POSTGRES_DROP = (
    "DROP VIEW prediction_features",
    "DROP FUNCTION prediction_month(timestamptz)",
    "DROP TABLE predictions, prediction_layouts, prediction_erasures",
)
