# Perl's clients: client.pl HTTP::Tiny|LWP BASE MODEL N BODY prints the last answer.
use strict;
use warnings;

my ($kind, $base, $model, $n, $file) = @ARGV;
open(my $in, '<:raw', $file) or die "$file: $!\n";
my $body = do { local $/; <$in> };
my $url = "$base/models/$model/predict";
my $answer = '';
if ($kind eq 'LWP') {
    require LWP::UserAgent;
    my $agent = LWP::UserAgent->new(keep_alive => 1);
    for (1 .. $n) {
        my $got = $agent->post($url, 'Content-Type' => 'application/json', Content => $body);
        die $got->status_line . "\n" unless $got->is_success;
        $answer = $got->decoded_content;
    }
} else {
    require HTTP::Tiny;
    my $agent = HTTP::Tiny->new;
    for (1 .. $n) {
        my %request = (headers => { 'content-type' => 'application/json' }, content => $body);
        my $got = $agent->post($url, \%request);
        die "$got->{status} $got->{content}\n" unless $got->{success};
        $answer = $got->{content};
    }
}
print "$answer\n";
