"""The report as one HTML file that needs nothing else: no network, no library, no fonts.

``page.py`` puts it together, from figures that are plain HTML and SVG (``layers.py``,
``totals.py``, ``roofline.py``) and one that a script draws, because it is zoomed into
(``timeline.py``).

There is no plotting library: Plotly, which was tried, adds 4.8 MB of script to every file (all of
ResNet-50's page is 0.3 MB), draws for seconds, and its bars scroll sideways on a phone's screen.
"""
