"""Who may ask the predictor what, from where, how often, and what is written down about it. Knows no protocol."""

from serving.access.admission import Access as Access
from serving.access.caller import Caller as Caller
from serving.access.caller import Credentials as Credentials
from serving.access.caller import Trace as Trace
from serving.access.options import AccessOptions as AccessOptions
from serving.access.tls import Tls as Tls
from serving.access.tls import TlsOptions as TlsOptions
