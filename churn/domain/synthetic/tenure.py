"""The law of tenure given the contract, months 0 to 72: a table, for ageing constrains it more than a formula could.

It is the smoothest law (least squares over second differences) that meets the sample's deciles 10/25/50/75/90 and
under which a base whose leavers are replaced by newcomers barely needs newcomers with months behind them (accounts
that change hands): next month's customers of tenure t + 1 are this month's of tenure t less those who left.
"""

from __future__ import annotations

import numpy as np

LONGEST = 72
"""Months at which tenure is capped; who reaches it either stays there or leaves the table without a label."""

# Customers of each tenure among 100,000 of the contract.
_MONTH = """
    2000 8800 7832 6668 5518 4465 3568 2859 2348 2022 1848 1771 1721 1675 1632 1593 1556 1522 1490 1459 1430 1403
    1377 1349 1318 1285 1251 1215 1180 1144 1109 1076 1043 1012 983 954 927 902 877 854 831 809 787 766 745 724 703
    681 659 636 612 586 560 532 502 472 441 409 377 345 313 283 254 228 205 186 171 161 155 154 152 150 375"""
_ONE_YEAR = """
    50 136 232 350 485 620 744 848 929 989 1031 1064 1096 1126 1151 1171 1185 1192 1192 1186 1174 1157 1139 1122
    1111 1107 1112 1125 1145 1172 1204 1240 1278 1319 1361 1404 1447 1490 1532 1573 1612 1649 1685 1719 1750 1779
    1805 1828 1848 1864 1877 1885 1890 1890 1886 1878 1865 1847 1825 1798 1768 1733 1694 1653 1608 1562 1513 1463
    1410 1357 1309 1261 3500"""
_TWO_YEARS = """
    10 44 90 159 248 336 411 463 489 491 475 450 431 414 399 389 383 382 386 396 411 429 453 483 520 561 600 632 656
    676 690 699 705 707 706 703 697 690 682 674 666 660 656 655 658 666 681 704 737 781 839 912 1001 1107 1229 1367
    1520 1686 1862 2046 2235 2424 2608 2781 2936 3065 3165 3238 3289 3331 3369 3406 24500"""

LAW = np.array([[int(count) for count in row.split()] for row in (_MONTH, _ONE_YEAR, _TWO_YEARS)]) / 100_000
"""(3 contracts, 73 tenures), rows sum to 1."""
