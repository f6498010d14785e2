"""Pages: reports, comparisons and experiments as single HTML files that need nothing else: no
network, no library, no fonts.

``document.py`` is what they share, ``report.py``, ``comparison.py`` and ``experiments.py`` put one
together each, from
figures that are plain HTML and SVG and one that a script draws, because it is zoomed into
(``timeline.py``).

There is no plotting library: Plotly, which was tried, adds 4.8 MB of script to every file (all of
ResNet-50's page is 0.3 MB), draws for seconds, and its bars scroll sideways on a phone's screen.
"""
