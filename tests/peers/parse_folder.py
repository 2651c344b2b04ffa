"""Reads every object of a folder (see lint_folder.py) with Python's `cryptography`: every field and extension, and
verifies every signature. Whatever fails is an exception. The last line counts what was read and what was verified.
"""

import json
import pathlib
import sys

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp, verification


def check_signature(key, signature, signed, hash_algorithm):
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PKCS1v15(), hash_algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(hash_algorithm))
    else:
        key.verify(signature, signed)


def read_certificate(file, verified):
    certificate = x509.load_der_x509_certificate(file.read_bytes())
    for extension in certificate.extensions:
        repr(extension.value)
        if not isinstance(extension.value, x509.UnrecognizedExtension):
            assert extension.value.public_bytes()
    assert certificate.subject.rfc4514_string() or certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).critical
    assert certificate.not_valid_before_utc < certificate.not_valid_after_utc
    issuer = file.with_suffix(".issuer")
    above = x509.load_der_x509_certificate(issuer.read_bytes()) if issuer.exists() else certificate
    certificate.verify_directly_issued_by(above)
    verified.append(file.name)


def read_list(file, verified):
    found = x509.load_der_x509_crl(file.read_bytes())
    for extension in found.extensions:
        repr(extension.value)
    assert found.extensions.get_extension_for_class(x509.IssuingDistributionPoint).critical
    number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert number == 4711, number
    for entry in found:
        assert entry.serial_number > 0 and entry.revocation_date_utc <= found.last_update_utc
        for extension in entry.extensions:
            assert isinstance(extension.value, x509.CRLReason)
        assert found.get_revoked_certificate_by_serial_number(entry.serial_number) is not None
    issuer = x509.load_der_x509_certificate(file.with_suffix(".issuer").read_bytes())
    assert found.issuer == issuer.subject
    assert found.is_signature_valid(issuer.public_key())
    verified.append(file.name)


def read_answer(file, verified):
    answer = ocsp.load_der_ocsp_response(file.read_bytes())
    assert answer.response_status == ocsp.OCSPResponseStatus.SUCCESSFUL
    for extension in answer.extensions:
        repr(extension.value)
    assert ("nonce" in file.name) == any(isinstance(it.value, x509.OCSPNonce) for it in answer.extensions)
    (responder,) = answer.certificates
    responder.extensions.get_extension_for_class(x509.OCSPNoCheck)
    single = list(answer.responses)
    assert len(single) == 2
    for one in single:
        assert one.next_update_utc > one.this_update_utc
        if one.certificate_status == ocsp.OCSPCertStatus.REVOKED:
            assert one.revocation_time_utc < one.this_update_utc
    issuer = x509.load_der_x509_certificate(file.with_suffix(".issuer").read_bytes())
    responder.verify_directly_issued_by(issuer)
    check_signature(
        responder.public_key(), answer.signature, answer.tbs_response_bytes, answer.signature_hash_algorithm
    )
    verified.append(file.name)


def verify_paths(folder):
    """Path validation by the profile of the web: it takes ECDSA and RSA only, and knows SPIFFE IDs for names of nobody."""
    count = 0
    for file in sorted(folder.glob("certificates/*-server*.der")):
        if "ed25519" in file.name or "mldsa" in file.name:
            continue
        chain = [
            x509.load_der_x509_certificate(at.read_bytes())
            for at in [file, *sorted(folder.glob(f"certificates/{file.stem}.issuer*"))]
        ]
        store = verification.Store([chain[-1]])
        builder = verification.PolicyBuilder().store(store)
        verifier = builder.build_server_verifier(x509.DNSName("shop.example.internal"))
        assert verifier.verify(chain[0], chain[1:-1])
        count += 1
    return count


def main(folder):
    read, verified, unknown = 0, [], []
    for pattern, reader in (
        ("certificates/*.der", read_certificate),
        ("lists/*.[ac]rl", read_list),
        ("answers/*.ocsp", read_answer),
    ):
        for file in sorted(folder.glob(pattern)):
            try:
                reader(file, verified)
            except UnsupportedAlgorithm as error:
                unknown.append(f"{file.name}: {error}")
            except Exception as error:
                raise RuntimeError(file.name) from error
            read += 1
    print(json.dumps({"read": read, "verified": len(verified), "unknown": unknown, "paths": verify_paths(folder)}))


main(pathlib.Path(sys.argv[1]))
