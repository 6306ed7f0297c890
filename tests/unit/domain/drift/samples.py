"""A small contract whose columns drift in the tests."""

from __future__ import annotations

from churn.domain import contract

SHOP = contract.parse("""
name: shop
target: {column: gone, positive: "yes"}
columns:
  plan: {type: category, categories: [basic, plus]}
  spend: {type: number, nullable: true}
""")
