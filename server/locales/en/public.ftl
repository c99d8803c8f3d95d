# The landing page.
