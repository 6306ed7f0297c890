"""How the page looks: system fonts, light and dark by the reader's own setting, tables that stack on a phone."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --soft: #f5f6f8; --line: #dfe2e7; --ink: #1b1f26; --quiet: #5b6472; --mark: #0b5cad; --good: #11703c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171c; --soft: #1d2128; --line: #343a45; --ink: #e7eaf0; --quiet: #a0a9b8;
    --mark: #7db7f5; --good: #6fce97;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 4rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main, header > div, nav > div { max-width: 64rem; margin: 0 auto; padding: 0 1.25rem; }
header { background: var(--soft); padding: 2.25rem 0 1.5rem; }
h1 { margin: 0 0 .35rem; font-size: 2rem; line-height: 1.15; letter-spacing: -.01em; overflow-wrap: anywhere; }
header p { margin: 0 0 1rem; color: var(--quiet); max-width: 46rem; }
h2 { margin: 2.75rem 0 .5rem; font-size: 1.3rem; }
h3 { margin: 1.75rem 0 .4rem; font-size: 1rem; }
p, li { max-width: 46rem; }
a { color: var(--mark); }
nav { position: sticky; top: 0; background: var(--soft); border-bottom: 1px solid var(--line); }
nav > div { display: flex; gap: 1.25rem; overflow-x: auto; padding-top: .6rem; padding-bottom: .6rem; }
nav a { text-decoration: none; white-space: nowrap; font-size: .92rem; }
dl { display: flex; flex-wrap: wrap; gap: .5rem 1.75rem; margin: 0; }
dt { color: var(--quiet); font-size: .78rem; }
dd { margin: 0; font-variant-numeric: tabular-nums; }
code, pre { font: .86em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre {
  margin: .4rem 0 1rem; padding: .85rem 1rem; overflow-x: auto;
  background: var(--soft); border: 1px solid var(--line); border-radius: 8px; tab-size: 2;
}
pre.answer { border-left: 3px solid var(--good); }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; font-size: .93rem; }
th, td { text-align: left; vertical-align: top; padding: .5rem .75rem .5rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--quiet); font-weight: 500; font-size: .8rem; }
td code { overflow-wrap: anywhere; }
td:first-child > code { overflow-wrap: normal; white-space: nowrap; }
td small { color: var(--quiet); }
.need { color: var(--mark); }
.need, .null { white-space: nowrap; }
footer { margin: 3rem 0 2rem; padding-top: 1rem; border-top: 1px solid var(--line); }
footer { color: var(--quiet); font-size: .85rem; }
footer code { overflow-wrap: anywhere; }
@media (max-width: 44rem) {
  h1 { font-size: 1.6rem; }
  table, tbody, tr, td { display: block; width: 100%; }
  thead { display: none; }
  tr { border-bottom: 1px solid var(--line); padding: .6rem 0; }
  td { border: 0; padding: .08rem 0; }
  td:first-child > code { overflow-wrap: anywhere; white-space: normal; font-weight: 600; }
  td:empty { display: none; }
  td[data-name]::before { content: attr(data-name) " "; color: var(--quiet); font-size: .8rem; }
}
"""
