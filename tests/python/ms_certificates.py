"""Certificates for tests, made by openssl: an authority, and what it signs with any time of validity.

    authority = Authority(directory, "test CA")          directory/ca.pem, ca.key
    authority.issue("client", "CN=client", seconds=60)   directory/client.pem, client.key
"""

import os
import subprocess
import time

CONFIG = """
[ca]
default_ca = own
[own]
database = {directory}/index.txt
serial = {directory}/serial
new_certs_dir = {directory}
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""


def _openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl {args[0]}: {done.stderr}"


def _utc(seconds):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds))


class Authority:
    """A certificate authority with its files in a directory of its own."""

    def __init__(self, directory, name):
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self.ca, self.key, self.config = (os.path.join(directory, file) for file in ("ca.pem", "ca.key", "openssl.cnf"))
        for file, text in ("openssl.cnf", CONFIG.format(directory=directory)), ("index.txt", ""), ("serial", "01\n"):
            with open(os.path.join(directory, file), "w", encoding="utf-8") as out:
                out.write(text)
        self._key(self.key)
        _openssl("req", "-x509", "-new", "-key", self.key, "-out", self.ca, "-days", 3650, "-subj", f"/CN={name}", "-config", self.config,
                 "-extensions", "authority")

    @staticmethod
    def _key(path):
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)

    def issue(self, name, subject, hosts=None, seconds=3600, begins_s=-86400):
        """Makes NAME.key and NAME.pem, valid from now + begins_s to now + seconds. |hosts|: "DNS:a,IP:b". A file that is there is
        replaced by rename, as tools that renew certificates do it. Returns the two paths."""
        path = os.path.join(self.directory, name)
        extensions = ["-addext", f"subjectAltName={hosts}"] if hosts else []
        self._key(f"{path}.key.new")
        _openssl("req", "-new", "-key", f"{path}.key.new", "-out", f"{path}.csr", "-subj", f"/{subject}", "-config", self.config,
                 *extensions)
        now = time.time()
        _openssl("ca", "-batch", "-notext", "-config", self.config, "-cert", self.ca, "-keyfile", self.key, "-in", f"{path}.csr",
                 "-out", f"{path}.pem.new", "-startdate", _utc(now + begins_s), "-enddate", _utc(now + seconds))
        for suffix in "key", "pem":
            os.rename(f"{path}.{suffix}.new", f"{path}.{suffix}")
        return f"{path}.pem", f"{path}.key"

    def keystore(self, name, *args, **kwargs):
        """The same as one PEM file with key and chain, as a broker takes it."""
        store = os.path.join(self.directory, f"{name}.keystore")
        with open(store, "w", encoding="utf-8") as out:
            for path in (*reversed(self.issue(name, *args, **kwargs)), self.ca):
                with open(path, encoding="utf-8") as file:
                    out.write(file.read())
        return store
