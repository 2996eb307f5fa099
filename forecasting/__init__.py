"""tradecast: forecasts of monthly bilateral trade with intervals that cover, from official figures."""

__version__ = "0.1.0"
