#!/usr/bin/env python3
"""Runs the guide's client test against a server that it starts: python3 .ci/guide.py PATH-OF-ASIDE"""
import datetime, ipaddress, json, pathlib, subprocess, sys, tempfile
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = pathlib.Path(__file__).resolve().parent.parent


def certificate():
    """A certificate for localhost that is its own authority, and its key: PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return built.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def main(aside):
    cert, key = certificate()
    with tempfile.TemporaryDirectory() as folder:
        ca, data = pathlib.Path(folder, "ca.pem"), pathlib.Path(folder, "data")
        data.mkdir()
        ca.write_text(cert)
        start = {"cert": cert, "key": key, "data_dir": str(data), "settings": {}}
        server = subprocess.Popen(
            [aside, "serve", "--controlled"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            server.stdin.write(json.dumps(start) + "\n")
            server.stdin.flush()
            port = json.loads(server.stdout.readline())["port"]
            test = [sys.executable, "test_client.py", f"localhost:{port}", "--ca", str(ca)]
            return subprocess.run(test, cwd=ROOT / "spec/guide", check=False).returncode
        finally:
            server.stdin.close()
            server.wait(timeout=30)


sys.exit(main(sys.argv[1]))
