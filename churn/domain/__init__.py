"""The domain, pure: contract, derivation, bundle, decision, metrics, synthetic data. No orchestrator, no store."""
