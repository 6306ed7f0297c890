"""The domain, pure: contract, derivation, bundle, decision, metrics, synthetic data. Knows no orchestrator and no store."""
