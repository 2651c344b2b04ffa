"""Lints a folder of certificates, revocation lists and OCSP answers (DER) with pkilint, all in one process.

    lint_folder.py FOLDER

FOLDER has `certificates/NAME.der`, with `NAME.issuer` beside it where there is an issuer; `lists/NAME.crl` for lists of
leaves and `lists/NAME.arl` for lists of authorities; `answers/NAME.ocsp`. Each finding at WARNING or above, and each algorithm that
pkilint does not know (a NOTICE), is a line of JSON: file, severity, finding, message. The last line says how many objects
were linted. It goes on where pkilint itself fails, and says so as a finding of its own, `cannot_judge`.
"""

import json
import pathlib
import sys

from pkilint import loader, pkix
from pkilint.bin import lint_pkix_signer_signee_cert_chain as pair
from pkilint.pkix import certificate, crl, extension, name, ocsp
from pkilint.validation import ValidationFindingSeverity as Severity


def certificate_validator():
    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )


def list_validator():
    return crl.create_pkix_crl_validator_container(
        [
            pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
            pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
        ],
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([]),
            crl.create_extensions_validator_container([]),
        ],
    )


def answer_validator():
    return ocsp.create_pkix_ocsp_response_validator_container(
        [
            ocsp.create_response_decoder(),
            pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
            pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
        ],
        [],
    )


def lint_pair(certificate_file, issuer_file):
    """What a certificate and its issuer's say together: names, key identifiers, the signature."""
    load = loader.RFC5280CertificateDocumentLoader()
    documents = {}
    for document_name, file in (("issuer", issuer_file), ("subject", certificate_file)):
        documents[document_name] = load.load_der_document(file.read_bytes(), document_name, file.name, documents)
    decode = pair.create_decoder_validation_container()
    results = decode.validate(documents["issuer"].root) + decode.validate(documents["subject"].root)
    results += pair.create_issuer_validation_container().validate(documents["issuer"].root)
    results += pair.create_subject_validation_container().validate(documents["subject"].root)
    return results


def findings(results):
    for result in results:
        for described in result.finding_descriptions:
            finding = described.finding
            # The lower, the more severe.
            if finding.severity <= Severity.WARNING or "unsupported_algorithm" in finding.code:
                yield finding.severity.name, finding.code, described.message or ""


def main(folder):
    certificates, lists, answers = certificate_validator(), list_validator(), answer_validator()
    certificate_loader = loader.RFC5280CertificateDocumentLoader()
    list_loader = loader.RFC5280CertificateListDocumentLoader()
    answer_loader = loader.RFC6960OCSPResponseDocumentLoader()

    def whole(validator, document_loader):
        return lambda file: validator.validate(document_loader.load_der_document(file.read_bytes(), None, file.name).root)

    work = []
    for file in sorted(folder.glob("certificates/*.der")):
        work.append((file, whole(certificates, certificate_loader)))
        issuer = file.with_suffix(".issuer")
        if issuer.exists():
            work.append((file, lambda file, issuer=issuer: lint_pair(file, issuer)))
    for file in sorted(folder.glob("lists/*.[ac]rl")):
        work.append((file, whole(lists, list_loader)))
    for file in sorted(folder.glob("answers/*.ocsp")):
        work.append((file, whole(answers, answer_loader)))

    def tell(file, severity, finding, message):
        print(json.dumps({"file": file.name, "severity": severity, "finding": finding, "message": message}))

    for file, judge in work:
        try:
            for severity, finding, message in findings(judge(file)):
                tell(file, severity, finding, message)
        except Exception as error:
            tell(file, "FATAL", "cannot_judge", f"{type(error).__name__}: {error}")
    print(json.dumps({"linted": len({file for file, _ in work})}))


main(pathlib.Path(sys.argv[1]))
