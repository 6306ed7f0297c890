from __future__ import annotations

from pathlib import Path

import pytest

from churn.stores.settings import Settings

SHOP = """
name: shop
key: {column: customer, source: Customer No}
target: {column: gone, positive: "yes", negative: "no"}
columns:
  plan: {type: category, categories: [basic, plus]}
  visits: {type: integer, range: [0, 100]}
"""
TABLE = 'Customer No,plan,visits,gone,remark\na1,basic,3,no,\na2,plus,,yes,"so, well"\n'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"CHURN_HOME": str(tmp_path / "home")})


@pytest.fixture
def contract(tmp_path: Path) -> str:
    """The path of a small contract."""
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP)
    return str(path)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A small CSV file that the contract describes."""
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path
